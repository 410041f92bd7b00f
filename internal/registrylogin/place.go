package registrylogin

import (
	"net"
	"net/url"
	"strings"
)

// IsAt reports whether an address is that of a registry, host[:port]. The port that belongs to the address's scheme may
// be written or not, on either side. A password and the bytes of an image go nowhere else.
func IsAt(registry string, address *url.URL) bool {
	return strings.EqualFold(withPort(registry, address.Scheme), withPort(address.Host, address.Scheme))
}

// withPort returns host:port, with the scheme's own port if none is written.
func withPort(host, scheme string) string {
	if name, port, err := net.SplitHostPort(host); err == nil && port != "" {
		return net.JoinHostPort(name, port)
	}
	port := "443"
	if scheme == "http" {
		port = "80"
	}
	return net.JoinHostPort(strings.Trim(strings.TrimSuffix(host, ":"), "[]"), port)
}
