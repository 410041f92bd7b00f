package iam

import (
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/policy"
	"imagecache.dev/test/awsemulator/internal/tag"
)

// Limits of IAM: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const (
	maxRoleName       = 64
	maxPolicyName     = 128
	maxTrust          = 2048   // the default quota; it can be raised to 4,096
	maxInline         = 10_240 // of all inline policies of a role, white space not counted
	maxManaged        = 6144   // white space not counted
	maxAttached       = 10     // the default quota
	maxVersions       = 5
	maxDescription    = 1000
	minSession        = 3600
	maxSession        = 43_200
	maxRolesByDefault = 1000
)

var namePattern = regexp.MustCompile(`^[\w+=,.@-]+$`)

var pathPattern = regexp.MustCompile(`^(/|/[!-~]+/)$`)

// Errors of the API: https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html#API_CreateRole_Errors

func noSuchEntity(format string, args ...any) error {
	e := apierror.New("NoSuchEntity", format, args...)
	e.Status = http.StatusNotFound
	return e
}

func alreadyExists(format string, args ...any) error {
	return apierror.WithStatus(http.StatusConflict, "EntityAlreadyExists", format, args...)
}

func deleteConflict(message string) error {
	return apierror.WithStatus(http.StatusConflict, "DeleteConflict", "%s", message)
}

func limitExceeded(format string, args ...any) error {
	return apierror.WithStatus(http.StatusConflict, "LimitExceeded", format, args...)
}

func malformed(err error) error {
	return apierror.New("MalformedPolicyDocument", "%s", policy.Message(err))
}

func validation(format string, args ...any) error {
	return apierror.New("ValidationError", format, args...)
}

// sentence begins a message with a capital, as AWS does.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func checkName(field, value string, limit int) error {
	switch {
	case value == "":
		return validation("1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null", field)
	case len(value) > limit:
		return validation("1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: Member must have length less than or equal to %d", value, field, limit)
	case !namePattern.MatchString(value):
		return apierror.New("ValidationError", "The specified value for %s is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-", field)
	}
	return nil
}

// squeezed is the number of characters that are not white space: IAM counts those.
func squeezed(s string) int {
	n := 0
	for _, r := range s {
		if !unicode.IsSpace(r) {
			n++
		}
	}
	return n
}

func checkIdentityPolicy(text string) error {
	doc, err := policy.Parse(text)
	if err == nil {
		err = doc.ValidateIdentity()
	}
	if err != nil {
		return malformed(err)
	}
	return nil
}

// checkTrust parses a trust policy and makes sure that its principals exist. Callers hold a lock.
func (d *Directory) checkTrust(text string) (*policy.Document, error) {
	if squeezed(text) > maxTrust {
		return nil, limitExceeded("Cannot exceed quota for ACLSizePerRole: %d", maxTrust)
	}
	doc, err := policy.Parse(text)
	if err == nil {
		err = doc.ValidateTrust()
	}
	if err == nil {
		err = d.checkPrincipals(doc)
	}
	if err != nil {
		return nil, malformed(err)
	}
	return doc, nil
}

// encoded is a policy in an answer: percent-encoded as RFC 3986 says, with %20 for a blank. Clients take a "+" as it is.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRolePolicy.html
func encoded(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

// checkTags: IAM's tag keys are the same whatever their case.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules
func checkTags(tags []tag.Tag) error {
	seen := map[string]bool{}
	for _, t := range tags {
		key := strings.ToLower(t.Key)
		if seen[key] {
			return apierror.New("InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		seen[key] = true
	}
	if err := tag.Check(tags); err != nil {
		return apierror.New("InvalidInput", "%s", sentence(err.Error()))
	}
	return nil
}

// withTags are the tags of a role with others added. One whose key differs in case alone takes the place of the other.
func withTags(old map[string]string, add []tag.Tag) (map[string]string, error) {
	keys := make([]string, 0, len(add))
	for _, t := range add {
		keys = append(keys, t.Key)
	}
	tags, err := tag.Merge(withoutTags(old, keys), add)
	if err != nil {
		return nil, limitExceeded("%s", sentence(err.Error()))
	}
	return tags, nil
}

func withoutTags(old map[string]string, keys []string) map[string]string {
	out := maps.Clone(old)
	maps.DeleteFunc(out, func(key, _ string) bool {
		return slices.ContainsFunc(keys, func(k string) bool { return strings.EqualFold(k, key) })
	})
	return out
}
