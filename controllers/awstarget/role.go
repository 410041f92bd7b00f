package awstarget

import (
	"fmt"
	"slices"
	"strings"

	"imagecache.dev/api/v1alpha1"
)

// MayAssume reports whether the controller reaches the runner's account by its own role or by a role that it may use.
func MayAssume(runner *v1alpha1.RunnerImageCache, allowedRoles []string) bool {
	return runner.Spec.AssumeRoleARN == "" || slices.Contains(allowedRoles, runner.Spec.AssumeRoleARN)
}

// anyNamespace stands for every namespace in the settings.
const anyNamespace = "*"

// ParseAllowedRoles parses settings of the form NAMESPACE=ARN. The namespace * stands for any namespace.
func ParseAllowedRoles(settings []string) (map[string][]string, error) {
	allowed := map[string][]string{}
	for _, setting := range settings {
		namespace, role, ok := strings.Cut(setting, "=")
		if !ok || namespace == "" || !strings.HasPrefix(role, "arn:") {
			return nil, fmt.Errorf("%q is not NAMESPACE=ARN, with the ARN of a role", setting)
		}
		allowed[namespace] = append(allowed[namespace], role)
	}
	return allowed, nil
}

// AllowedRoles returns the roles that the runners of a namespace may name.
func AllowedRoles(allowed map[string][]string, namespace string) []string {
	return slices.Concat(allowed[namespace], allowed[anyNamespace])
}
