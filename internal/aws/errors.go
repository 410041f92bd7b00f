package aws

import (
	"context"
	"errors"
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/aws/smithy-go"

	"imagecache.dev/internal/message"
)

// Class tells what to do about an error of AWS.
type Class string

// Classes of errors.
const (
	// ClassNone: no error.
	ClassNone Class = ""
	// ClassNotFound: the requested resource does not exist.
	ClassNotFound Class = "NotFound"
	// ClassAccessDenied: a permission is missing. Only a person can grant it; retry slowly.
	ClassAccessDenied Class = "AccessDenied"
	// ClassThrottled: AWS, or this program's own rate limit, asks to retry later. RetryAfter returns when.
	ClassThrottled Class = "Throttled"
	// ClassInvalid: AWS rejects the request; the same request never succeeds.
	ClassInvalid Class = "Invalid"
	// ClassOther: every other error, including errors that are not AWS'. Retry.
	ClassOther Class = "Other"
)

// throttleCodes mean that the same call succeeds later. Quotas such as LimitExceeded are not among them, although the
// SDK treats them as throttling.
var throttleCodes = map[string]struct{}{
	"Throttling":                             {},
	"ThrottlingException":                    {},
	"ThrottledException":                     {},
	"RequestThrottled":                       {},
	"RequestThrottledException":              {},
	"TooManyRequestsException":               {},
	"RequestLimitExceeded":                   {},
	"BandwidthLimitExceeded":                 {},
	"ProvisionedThroughputExceededException": {},
	"SlowDown":                               {},
}

// deniedCodes are the errors that a person fixes by changing permissions or credentials.
var deniedCodes = map[string]bool{
	"AccessDenied":                         true,
	"AccessDeniedException":                true,
	"AuthFailure":                          true,
	"AuthorizationError":                   true,
	"BlockedByOrganizationPolicyException": true,
	"ExpiredToken":                         true,
	"ExpiredTokenException":                true,
	"InvalidClientTokenId":                 true,
	"InvalidIdentityToken":                 true,
	"InvalidSignatureException":            true,
	"KmsException":                         true,
	"MissingAuthenticationTokenException":  true,
	"NotAuthorized":                        true,
	"OptInRequired":                        true,
	"RegionDisabledException":              true,
	"SignatureDoesNotMatch":                true,
	"UnauthorizedException":                true,
	"UnauthorizedOperation":                true,
	"UnrecognizedClientException":          true,
}

var notFoundCodes = map[string]bool{
	"RepositoryNotFoundException":       true,
	"ImageNotFoundException":            true,
	"LayersNotFoundException":           true,
	"LayerInaccessibleException":        true,
	"LifecyclePolicyNotFoundException":  true,
	"RepositoryPolicyNotFoundException": true,
	"NoSuchEntity":                      true,
	"NoSuchEntityException":             true,
	"ResourceNotFoundException":         true,
	"StackNotFoundException":            true,
}

var invalidCodes = map[string]bool{
	"InvalidParameterException":        true,
	"InvalidParameterValue":            true,
	"InvalidParameter":                 true,
	"InvalidTagParameterException":     true,
	"TooManyTagsException":             true,
	"ValidationError":                  true,
	"ValidationException":              true,
	"InvalidInput":                     true,
	"MalformedPolicyDocument":          true,
	"MalformedPolicyDocumentException": true,
	"PackedPolicyTooLarge":             true,
	"PackedPolicyTooLargeException":    true,
	"UnsupportedImageTypeException":    true,
}

// ClassOf returns the class of an error.
func ClassOf(err error) Class {
	if err == nil {
		return ClassNone
	}
	var later *LaterError
	if errors.As(err, &later) {
		return ClassThrottled
	}
	code := Code(err)
	_, throttled := throttleCodes[code]
	switch {
	case throttled:
		return ClassThrottled
	case deniedCodes[code]:
		return ClassAccessDenied
	case notFoundCodes[code]:
		return ClassNotFound
	case invalidCodes[code]:
		return ClassInvalid
	}
	return ClassOther
}

// Code returns the code of an error of AWS, such as AccessDeniedException, and "" for another error.
func Code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// RetryAfter returns how long to wait if the class is ClassThrottled.
func RetryAfter(err error) time.Duration {
	var later *LaterError
	if errors.As(err, &later) {
		return later.After
	}
	return throttledRetry
}

// Message describes an error in a sentence that is the same at each retry: service, operation, code and AWS' own
// words, without request IDs, the ports of connections and the queries of addresses.
func Message(err error) string {
	if err == nil {
		return ""
	}
	return message.Redact(describe(err))
}

func describe(err error) string {
	var later *LaterError
	if errors.As(err, &later) {
		return later.Error()
	}
	var prefix string
	var operation *smithy.OperationError
	if errors.As(err, &operation) {
		prefix = strings.ToLower(operation.ServiceID) + " " + operation.OperationName + ": "
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		text := api.ErrorCode()
		if said := withoutRequestIDs(api.ErrorMessage()); said != "" {
			text += ": " + said
		}
		if advice := adviceOn[api.ErrorCode()]; advice != "" {
			text += "; " + advice
		}
		return prefix + text
	}
	if prefix == "" {
		return err.Error()
	}
	return prefix + transportMessage(err)
}

// adviceOn is what to do about errors whose own words don't tell it.
var adviceOn = map[string]string{
	// https://docs.aws.amazon.com/AmazonECR/latest/userguide/encryption-at-rest.html#encryption-at-rest-iam
	"KmsException": "the controller's role and the key's policy must allow kms:DescribeKey, kms:CreateGrant and " +
		"kms:RetireGrant through ECR (statement EncryptedRepositories of config/aws/controller-policy.json), " +
		"and the key must be enabled and in the repository's region",
}

// transportMessage describes why no answer arrived.
func transportMessage(err error) string {
	var network *net.OpError
	var unresolved *net.DNSError
	var address *url.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer within the deadline"
	case errors.Is(err, context.Canceled):
		return "canceled by the caller"
	case hasNoCredentials(err):
		return "no AWS credentials were found; set AWS_PROFILE or AWS_ACCESS_KEY_ID, or give the pod or the instance a role"
	case errors.As(err, &unresolved):
		return "can't resolve the name " + unresolved.Name + ": " + unresolved.Err
	case errors.As(err, &network):
		return "no connection: " + network.Err.Error()
	case errors.As(err, &address):
		return "no answer: " + address.Err.Error()
	}
	var operation *smithy.OperationError
	if errors.As(err, &operation) {
		return withoutRequestIDs(operation.Err.Error())
	}
	return err.Error()
}

// hasNoCredentials reports whether an error comes from asking the instance for a role. The SDK does that last, after
// it found no credentials elsewhere: https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
func hasNoCredentials(err error) bool {
	var operation *smithy.OperationError
	for errors.As(err, &operation) {
		if operation.ServiceID == "ec2imds" {
			return true
		}
		err = operation.Err
	}
	return false
}

var requestID = regexp.MustCompile(`(?i)[,;(]?\s*request[ _-]?id:?\s*"?[0-9a-z-]*"?\)?`)

func withoutRequestIDs(text string) string {
	return strings.TrimSpace(requestID.ReplaceAllString(text, ""))
}
