package inspect

import (
	"strings"
	"testing"
)

func TestPullTimesNeedTheControllersOwnRole(t *testing.T) {
	const (
		controller = "arn:aws:iam::123456789012:role/imagecache-controller"
		pull       = "arn:aws:iam::123456789012:role/imagecache-pull"
	)
	advice := map[Result]string{
		ResultWarning: "aws ecr register-pull-time-update-exclusion --principal-arn " + controller + " ",
		ResultFailed:  "aws ecr deregister-pull-time-update-exclusion --principal-arn " + pull + " ",
	}
	for name, test := range map[string]struct {
		excluded []string
		want     Result
	}{
		"excluded, among others": {[]string{"arn:aws:iam::123456789012:role/scanner", controller}, ResultOK},
		"only another role":      {[]string{controller + "-2"}, ResultWarning},
		"none":                   {nil, ResultWarning},
		"the environments' role": {[]string{pull, controller}, ResultFailed},
	} {
		f := &findings{area: areaAWS}
		f.pullTimesOf(controller, pull, test.excluded)
		got := f.list[0]
		if got.Result != test.want {
			t.Errorf("%s: %+v, want %s", name, got, test.want)
		}
		if !strings.Contains(got.Advice, advice[test.want]) {
			t.Errorf("%s: the advice is %q", name, got.Advice)
		}
	}
}
