package sts

import (
	"regexp"
	"unicode/utf8"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/policy"
	"imagecache.dev/test/awsemulator/internal/tag"
)

// Limits: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetFederationToken.html
const (
	maxTokenDuration = 129_600
	maxRootDuration  = 3600 // longer ones are shortened for the root user, and there are no other users
)

var federatePattern = regexp.MustCompile(`^[\w+=,.@-]{2,32}$`)

// rootDuration is how long temporary credentials of the root user last.
func rootDuration(asked *int) (int, error) {
	switch {
	case asked == nil:
		return maxRootDuration, nil
	case *asked < minDuration || *asked > maxTokenDuration:
		return 0, validation("1 validation error detected: Value '%d' at 'durationSeconds' failed to satisfy constraint: Member must have value between %d and %d", *asked, minDuration, maxTokenDuration)
	}
	return min(*asked, maxRootDuration), nil
}

type sessionTokenIn struct {
	DurationSeconds *int `json:",string"`
}

type sessionTokenOut struct {
	Credentials credentialsXML
	tokenXML
}

// getSessionToken needs no permission, but long-term credentials.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
func (s *Service) getSessionToken(c *caller.Caller, in *sessionTokenIn) (*sessionTokenOut, error) {
	if c.Session != nil {
		return nil, apierror.AccessDenied("Cannot call GetSessionToken with session credentials")
	}
	seconds, err := rootDuration(in.DurationSeconds)
	if err != nil {
		return nil, err
	}
	session := newSession(c, caller.OfRoot, "", seconds, 0)
	s.directory.AddSession(session)
	return &sessionTokenOut{credentials(session), s.token(session, 0)}, nil
}

type federationTokenIn struct {
	Name            string
	Policy          *string
	PolicyArns      []policyARN
	DurationSeconds *int `json:",string"`
	Tags            []tag.Tag
}

type federatedXML struct {
	FederatedUserID string `xml:"FederatedUserId"`
	Arn             string
}

type federationTokenOut struct {
	Credentials      credentialsXML
	FederatedUser    federatedXML
	PackedPolicySize int `xml:",omitempty"`
	tokenXML
}

// getFederationToken makes credentials that may do what the session policies allow. Without one they may do nothing.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetFederationToken.html
func (s *Service) getFederationToken(c *caller.Caller, in *federationTokenIn) (*federationTokenOut, error) {
	if c.Session != nil {
		return nil, apierror.AccessDenied("Cannot call GetFederationToken with session credentials")
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	seconds, err := rootDuration(in.DurationSeconds)
	if err != nil {
		return nil, err
	}
	tags := map[string]string{}
	for _, t := range in.Tags {
		tags[t.Key] = t.Value
	}
	policies, texts, err := s.sessionPolicies(in.Policy, in.PolicyArns)
	if err != nil {
		return nil, err
	}
	size, used, err := s.packed(texts, tags)
	if err != nil {
		return nil, err
	}
	session := newSession(c, caller.OfFederate, in.Name, seconds, size)
	session.Policies, session.Tags = append([]*policy.Document{}, policies...), tags // never nil: no policy allows nothing
	s.directory.AddSession(session)
	return &federationTokenOut{
		credentials(session), federatedXML{c.Account + ":" + in.Name, "arn:aws:sts::" + c.Account + ":federated-user/" + in.Name}, used, s.token(session, size),
	}, nil
}

func (in *federationTokenIn) check() error {
	switch {
	case !federatePattern.MatchString(in.Name):
		return validation("1 validation error detected: Value '%s' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]{2,32}", in.Name)
	case in.Policy != nil && utf8.RuneCountInString(*in.Policy) > maxPolicy:
		return validation("1 validation error detected: Value at 'policy' failed to satisfy constraint: Member must have length less than or equal to %d", maxPolicy)
	case len(in.PolicyArns) > maxPolicyARNs:
		return validation("1 validation error detected: Value at 'policyArns' failed to satisfy constraint: Member must have length less than or equal to %d", maxPolicyARNs)
	case len(in.Tags) > maxTags:
		return validation("1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to %d", maxTags)
	}
	return checkSessionTags(in.Tags)
}
