package registrylogin

import (
	"net/url"
	"testing"
)

func TestAddressesOfARegistry(t *testing.T) {
	for _, test := range []struct {
		registry, address string
		want              bool
	}{
		{"1.dkr.ecr.eu-west-1.amazonaws.com", "https://1.dkr.ecr.eu-west-1.amazonaws.com/v2/", true},
		{"1.dkr.ecr.eu-west-1.amazonaws.com", "https://1.dkr.ecr.eu-west-1.amazonaws.com:443/v2/", true},
		{"1.dkr.ecr.eu-west-1.amazonaws.com", "https://1.DKR.ecr.eu-west-1.amazonaws.com:/v2/", true},
		{"1.dkr.ecr.eu-west-1.amazonaws.com:443", "https://1.dkr.ecr.eu-west-1.amazonaws.com/v2/", true},
		{"1.dkr.ecr.eu-west-1.amazonaws.com", "http://1.dkr.ecr.eu-west-1.amazonaws.com:443/v2/", false},
		{"1.dkr.ecr.eu-west-1.amazonaws.com", "https://1.dkr.ecr.eu-west-1.amazonaws.com:80/v2/", false},
		{"1.dkr.ecr.eu-west-1.amazonaws.com", "https://1.dkr.ecr.eu-west-1.amazonaws.com.example/v2/", false},
		{"1.dkr.ecr.eu-west-1.amazonaws.com", "https://1.dkr.ecr.eu-west-1.amazonaws.com@example.com/v2/", false},
		{"1.dkr.ecr.eu-west-1.amazonaws.com", "https://2.dkr.ecr.eu-west-1.amazonaws.com/v2/", false},
		{"127.0.0.1:5000", "http://127.0.0.1:5000/v2/", true},
		{"127.0.0.1:5000", "http://127.0.0.1:5001/v2/", false},
		{"[::1]:5000", "http://[::1]:5000/v2/", true},
		{"[::1]", "http://[::1]:80/v2/", true},
		{"registry.example", "", false},
	} {
		address, err := url.Parse(test.address)
		if err != nil {
			t.Fatal(err)
		}
		if got := IsAt(test.registry, address); got != test.want {
			t.Errorf("%s is at %s: %v, want %v", test.address, test.registry, got, test.want)
		}
	}
}
