// Package sts is STS' Query API: who am I, and sessions of roles.
package sts

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/iam"
	"imagecache.dev/test/awsemulator/internal/policy"
	"imagecache.dev/test/awsemulator/internal/tag"
	"imagecache.dev/test/awsemulator/internal/wire"
)

// Namespace is the XML namespace of STS' answers.
const Namespace = "https://sts.amazonaws.com/doc/2011-06-15/"

// Settings are what a test may turn.
type Settings struct {
	RootMayAssumeRoles bool
	PackedLimit        int // 0: DefaultPackedLimit
}

// Service is STS over a directory.
type Service struct {
	directory *iam.Directory
	settings  Settings
}

// New makes the service.
func New(d *iam.Directory, s Settings) *Service {
	if s.PackedLimit == 0 {
		s.PackedLimit = DefaultPackedLimit
	}
	return &Service{directory: d, settings: s}
}

// Operations is STS' API.
func (s *Service) Operations() map[string]wire.Operation {
	return map[string]wire.Operation{
		"GetCallerIdentity":  wire.Op(s.getCallerIdentity),
		"AssumeRole":         wire.Op(s.assumeRole),
		"GetSessionToken":    wire.Op(s.getSessionToken),
		"GetFederationToken": wire.Op(s.getFederationToken),
	}
}

type identityOut struct {
	Arn     string
	UserID  string `xml:"UserId"`
	Account string
}

// getCallerIdentity needs no permission: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
func (s *Service) getCallerIdentity(c *caller.Caller, _ *wire.Empty) (*identityOut, error) {
	return &identityOut{c.ARN, c.UserID, c.Account}, nil
}

type policyARN struct {
	Arn string `json:"arn"`
}

type assumeRoleIn struct {
	RoleArn           string
	RoleSessionName   string
	DurationSeconds   *int `json:",string"`
	Policy            *string
	PolicyArns        []policyARN
	Tags              []tag.Tag
	TransitiveTagKeys []string
	ExternalID        string `json:"ExternalId"`
	SourceIdentity    string
}

type credentialsXML struct {
	AccessKeyID     string `xml:"AccessKeyId"`
	SecretAccessKey string
	SessionToken    string
	Expiration      string
}

type assumedXML struct {
	AssumedRoleID string `xml:"AssumedRoleId"`
	Arn           string
}

type assumeRoleOut struct {
	Credentials      credentialsXML
	AssumedRoleUser  assumedXML
	PackedPolicySize int `xml:",omitempty"`
	tokenXML
	SourceIdentity string `xml:",omitempty"`
}

// Limits: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
const (
	minDuration     = 900
	maxDuration     = 43_200
	maxChained      = 3600
	defaultDuration = 3600
	maxPolicy       = 2048
	maxPolicyARNs   = 10
	maxTags         = 50
)

var (
	namePattern     = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
	externalPattern = regexp.MustCompile(`^[\w+=,.@:/-]{2,}$`)
)

func validation(format string, args ...any) error {
	return apierror.New("ValidationError", format, args...)
}

func (s *Service) assumeRole(c *caller.Caller, in *assumeRoleIn) (*assumeRoleOut, error) {
	if err := checkInput(in); err != nil {
		return nil, err
	}
	if c.Root() && !s.settings.RootMayAssumeRoles {
		// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
		return nil, apierror.AccessDenied("Roles may not be assumed by root accounts.")
	}
	role := s.directory.Assumable(in.RoleArn)
	// A federated user can call no operation of STS but GetCallerIdentity.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_sts-comparison.html
	if role == nil || (c.Session != nil && c.Session.Kind == caller.OfFederate) {
		return nil, apierror.AccessDenied("User: " + c.ARN + " is not authorized to perform: sts:AssumeRole on resource: " + in.RoleArn)
	}
	tags, transitive, err := sessionTags(c, in)
	if err != nil {
		return nil, err
	}
	source := in.SourceIdentity
	if c.Session != nil && c.Session.SourceIdentity != "" {
		if source != "" && source != c.Session.SourceIdentity {
			return nil, apierror.AccessDenied("User: " + c.ARN + " is not authorized to perform: sts:SetSourceIdentity on resource: " + in.RoleArn)
		}
		source = c.Session.SourceIdentity
	}
	if err := authorize(c, role, in, tags, source); err != nil {
		return nil, err
	}
	duration := defaultDuration
	if in.DurationSeconds != nil {
		duration = *in.DurationSeconds
	}
	switch {
	case c.Session != nil && c.Session.Kind == caller.OfRole && duration > maxChained:
		return nil, validation("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	case duration > role.MaxSession:
		return nil, validation("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	policies, texts, err := s.sessionPolicies(in.Policy, in.PolicyArns)
	if err != nil {
		return nil, err
	}
	size, packed, err := s.packed(texts, tags)
	if err != nil {
		return nil, err
	}
	session := newSession(c, caller.OfRole, in.RoleSessionName, duration, size)
	session.RoleARN, session.RoleID = role.ARN, role.ID
	session.Policies, session.Tags, session.Transitive, session.SourceIdentity = policies, tags, transitive, source
	s.directory.AddSession(session)
	return &assumeRoleOut{
		Credentials: credentials(session),
		AssumedRoleUser: assumedXML{
			role.ID + ":" + in.RoleSessionName,
			"arn:aws:sts::" + c.Account + ":assumed-role/" + role.Name + "/" + in.RoleSessionName,
		},
		PackedPolicySize: packed, SourceIdentity: source, tokenXML: s.token(session, size),
	}, nil
}

func checkInput(in *assumeRoleIn) error {
	switch {
	case !strings.HasPrefix(in.RoleArn, "arn:") || len(in.RoleArn) < 20 || len(in.RoleArn) > 2048:
		return validation("%s is invalid", in.RoleArn)
	case !namePattern.MatchString(in.RoleSessionName):
		return validation("1 validation error detected: Value '%s' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]{2,64}", in.RoleSessionName)
	case in.SourceIdentity != "" && (!namePattern.MatchString(in.SourceIdentity) || strings.HasPrefix(strings.ToLower(in.SourceIdentity), "aws:")):
		return validation("1 validation error detected: Value '%s' at 'sourceIdentity' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]{2,64}", in.SourceIdentity)
	case in.ExternalID != "" && (len(in.ExternalID) > 1224 || !externalPattern.MatchString(in.ExternalID)):
		return validation("1 validation error detected: Value at 'externalId' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@:\\/-]{2,1224}")
	case in.DurationSeconds != nil && (*in.DurationSeconds < minDuration || *in.DurationSeconds > maxDuration):
		return validation("1 validation error detected: Value '%d' at 'durationSeconds' failed to satisfy constraint: Member must have value between %d and %d", *in.DurationSeconds, minDuration, maxDuration)
	case in.Policy != nil && utf8.RuneCountInString(*in.Policy) > maxPolicy:
		return validation("1 validation error detected: Value at 'policy' failed to satisfy constraint: Member must have length less than or equal to %d", maxPolicy)
	case len(in.PolicyArns) > maxPolicyARNs:
		return validation("1 validation error detected: Value at 'policyArns' failed to satisfy constraint: Member must have length less than or equal to %d", maxPolicyARNs)
	case len(in.Tags) > maxTags:
		return validation("1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must have length less than or equal to %d", maxTags)
	}
	if err := checkSessionTags(in.Tags); err != nil {
		return err
	}
	for _, k := range in.TransitiveTagKeys {
		if !slices.ContainsFunc(in.Tags, func(t tag.Tag) bool { return strings.EqualFold(t.Key, k) }) {
			return apierror.New("InvalidParameterValue", "The specified transitive tag key must be included in the requested tags.")
		}
	}
	return nil
}

// checkSessionTags: keys are the same whatever their case.
func checkSessionTags(tags []tag.Tag) error {
	seen := map[string]bool{}
	for _, t := range tags {
		lower := strings.ToLower(t.Key)
		if seen[lower] {
			return apierror.New("InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		seen[lower] = true
	}
	if err := tag.Check(tags); err != nil {
		return validation("%s", err)
	}
	return nil
}

// sessionTags are those of the request and those that the caller's session hands on.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html#id_session-tags_role-chaining
func sessionTags(c *caller.Caller, in *assumeRoleIn) (map[string]string, []string, error) {
	tags, transitive := map[string]string{}, slices.Clone(in.TransitiveTagKeys)
	if c.Session != nil {
		for _, k := range c.Session.Transitive {
			for name, v := range c.Session.Tags {
				if !strings.EqualFold(name, k) {
					continue
				}
				for _, t := range in.Tags {
					if strings.EqualFold(t.Key, k) {
						return nil, nil, apierror.New("InvalidParameterValue", "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session.")
					}
				}
				tags[name] = v
				transitive = append(transitive, name)
			}
		}
	}
	for _, t := range in.Tags {
		tags[t.Key] = t.Value
	}
	if len(tags) > maxTags {
		return nil, nil, validation("a session can have %d tags, inherited ones included, not %d", maxTags, len(tags))
	}
	return tags, transitive, nil
}

// authorize asks for each action that the request implies.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecuritytokenservice.html
func authorize(c *caller.Caller, role *iam.Assumable, in *assumeRoleIn, tags map[string]string, source string) error {
	all := make([]tag.Tag, 0, len(tags))
	for k, v := range tags {
		all = append(all, tag.Tag{Key: k, Value: v})
	}
	ctx := tag.Requested(all)
	ctx.Merge(tag.Resource(role.Tags, "aws", "iam"))
	ctx.Set("sts:RoleSessionName", in.RoleSessionName)
	if in.ExternalID != "" {
		ctx.Set("sts:ExternalId", in.ExternalID)
	}
	if source != "" {
		ctx.Set("sts:SourceIdentity", source)
	}
	if len(in.TransitiveTagKeys) > 0 {
		ctx.Set("sts:TransitiveTagKeys", in.TransitiveTagKeys...)
	}
	actions := []string{"sts:AssumeRole"}
	if len(tags) > 0 {
		actions = append(actions, "sts:TagSession")
	}
	if source != "" {
		actions = append(actions, "sts:SetSourceIdentity")
	}
	for _, action := range actions {
		err := c.Authorize(caller.Access{Action: action, Resource: role.ARN, Context: ctx, ResourcePolicy: role.Trust, Trust: true})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) sessionPolicies(inline *string, managed []policyARN) ([]*policy.Document, []string, error) {
	var docs []*policy.Document
	var texts []string
	if inline != nil {
		doc, err := policy.Parse(*inline)
		if err == nil {
			err = doc.ValidateIdentity()
		}
		if err != nil {
			return nil, nil, apierror.New("MalformedPolicyDocument", "%s", policy.Message(err))
		}
		docs, texts = append(docs, doc), append(texts, *inline)
	}
	for _, p := range managed {
		doc, _, err := s.directory.ManagedDocument(p.Arn)
		if err != nil {
			return nil, nil, validation("%s", err)
		}
		docs, texts = append(docs, doc), append(texts, p.Arn)
	}
	return docs, texts, nil
}
