package policy

import (
	"slices"
	"strings"
)

// Partitions of AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
var partitions = []string{"aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc"}

// iamPaths are what a resource of IAM begins with.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-arns
var iamPaths = []string{
	"user/", "federated-user/", "role/", "group/", "instance-profile/", "mfa/", "server-certificate/", "policy/", "sms-mfa/", "saml-provider/",
	"oidc-provider/", "report/", "access-report/",
}

// validResource tells what is wrong with a resource of an identity-based policy: it is "*" or an ARN, of which wildcards and
// variables may stand for parts. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
func validResource(r string) error {
	if r == "*" {
		return nil
	}
	parts := strings.SplitN(r, ":", 6)
	if len(parts) == 1 {
		return refuse("Resource %s must be in ARN format or \"*\".", r)
	}
	if p := parts[1]; p != "*" && !slices.Contains(partitions, p) {
		return refuse("Partition %q is not valid for resource %q.", p, "arn:"+p+":"+padded(parts[2:]))
	}
	if len(parts) == 2 {
		return refuse("Resource vendor must be fully qualified and cannot contain regexes.")
	}
	part := func(i int) string {
		if i < len(parts) {
			return parts[i]
		}
		return ""
	}
	switch service := parts[2]; {
	case service == "iam" && part(3) != "":
		return refuse("IAM resource %s cannot contain region information.", r)
	case service == "s3" && part(3) != "" && !strings.HasPrefix(part(5), "accesspoint/"):
		return refuse("Resource %s can not contain region information.", r)
	case service == "iam" && part(5) != "*" && !startsWithAny(part(5), iamPaths):
		return refuse("IAM resource path must either be \"*\" or start with %s.", strings.Join(iamPaths, ", "))
	case service == "", len(parts) < 6 && strings.Contains(r, "::"):
		return legacy("resource " + r + " is not a whole ARN")
	}
	return nil
}

// padded is the rest of an ARN as IAM shows it: absent parts are "*".
func padded(rest []string) string {
	out := []string{"*", "*", "*", "*"}
	for i, part := range rest {
		if part != "" || len(rest) > 1 {
			out[i] = part
		}
	}
	return strings.Join(out, ":")
}

func startsWithAny(s string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}
