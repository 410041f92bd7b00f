package inspect

import (
	"strings"
	"testing"
)

func TestPullTimesNeedTheControllersOwnRole(t *testing.T) {
	const controller = "arn:aws:iam::123456789012:role/imagecache-controller"
	for name, test := range map[string]struct {
		excluded []string
		want     Result
	}{
		"excluded, among others": {[]string{"arn:aws:iam::123456789012:role/scanner", controller}, ResultOK},
		"only another role":      {[]string{controller + "-2"}, ResultWarning},
		"none":                   {nil, ResultWarning},
	} {
		f := &findings{area: areaAWS}
		f.pullTimesOf(controller, test.excluded)
		got := f.list[0]
		if got.Result != test.want {
			t.Errorf("%s: %+v, want %s", name, got, test.want)
		}
		if advised := strings.Contains(got.Advice, "--principal-arn "+controller+" "); advised != (test.want == ResultWarning) {
			t.Errorf("%s: the advice is %q", name, got.Advice)
		}
	}
}
