package hash

import (
	"fmt"
	"regexp"
)

// DefaultPlatform is the one meant where none is said.
const DefaultPlatform = "linux/amd64"

var platformPattern = regexp.MustCompile(`^[a-z0-9]+/[a-z0-9_]+(/[a-z0-9_.]+)?$`)

// redundantVariants are the ones that every image of the architecture has:
// https://github.com/containerd/platforms#normalization
var redundantVariants = map[string]string{"linux/arm64/v8": "linux/arm64", "linux/amd64/v1": "linux/amd64"}

// CheckPlatform reports what is wrong with a platform; "" is DefaultPlatform.
func CheckPlatform(platform string) error {
	_, err := normalizePlatform(platform)
	return err
}

func normalizePlatform(platform string) (string, error) {
	if platform == "" {
		return DefaultPlatform, nil
	}
	if !platformPattern.MatchString(platform) {
		return "", fmt.Errorf(
			"platform %q is not of the form os/architecture or os/architecture/variant, in lower case", platform,
		)
	}
	if normal, found := redundantVariants[platform]; found {
		return normal, nil
	}
	return platform, nil
}
