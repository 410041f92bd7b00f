package awsemulator

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/policy"
	"imagecache.dev/test/awsemulator/internal/sigv4"
)

// authError is an authentication error with its names in both protocols.
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/CommonErrors.html
// https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html
func authError(code, query, format string, args ...any) *apierror.Error {
	e := apierror.New(code, format, args...)
	e.QueryCode, e.QueryStatus = query, http.StatusForbidden
	return e
}

// authenticate finds out who signed a request to the API.
func (s *Server) authenticate(r *http.Request, body []byte, svc service, a *sigv4.Authorization) (*caller.Caller, error) {
	secret := s.options.SecretAccessKey
	var session *caller.Session
	if a.AccessKeyID != s.options.AccessKeyID {
		session = s.directory.Session(a.AccessKeyID)
		if session == nil {
			return nil, authError("UnrecognizedClientException", "InvalidClientTokenId", "The security token included in the request is invalid.")
		}
		secret = session.SecretAccessKey
		token := r.Header.Get("X-Amz-Security-Token")
		if subtle.ConstantTimeCompare([]byte(token), []byte(session.Token)) != 1 {
			return nil, authError("UnrecognizedClientException", "InvalidClientTokenId", "The security token included in the request is invalid.")
		}
	}
	// Temporary credentials without MFA, other than a role's, can't be used with IAM.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_sts-comparison.html
	if session != nil && session.Kind != caller.OfRole && svc.name == "iam" {
		return nil, authError("UnrecognizedClientException", "InvalidClientTokenId", "The security token included in the request is invalid.")
	}
	if a.Service != svc.name {
		return nil, authError("InvalidSignatureException", "SignatureDoesNotMatch", "Credential should be scoped to correct service: '%s'.", svc.name)
	}
	if !svc.global && a.Region != s.options.Region {
		return nil, authError("InvalidSignatureException", "SignatureDoesNotMatch", "Credential should be scoped to a valid region: this emulator is %s, not %s.", s.options.Region, a.Region)
	}
	if err := a.Verify(r, body, secret, s.answerTime()); err != nil {
		return nil, signatureError(err)
	}
	c := s.caller(r, session)
	if session != nil && !c.Now.Before(session.Expires) {
		return nil, authError("ExpiredTokenException", "ExpiredToken", "The security token included in the request is expired")
	}
	return c, nil
}

// answerTime is the time of signatures and answers.
func (s *Server) answerTime() time.Time {
	if s.options.OneClock {
		return s.options.Clock.Now()
	}
	return time.Now()
}

func signatureError(err error) error {
	switch {
	case errors.Is(err, sigv4.ErrNotEmulated):
		return apierror.NotEmulated(err.Error())
	case errors.Is(err, sigv4.ErrMissing):
		return authError("MissingAuthenticationTokenException", "MissingAuthenticationToken", "Missing Authentication Token")
	case errors.Is(err, sigv4.ErrIncomplete):
		e := authError("IncompleteSignatureException", "IncompleteSignature", "%s", err)
		e.QueryStatus = http.StatusBadRequest
		return e
	case errors.Is(err, sigv4.ErrSkew), errors.Is(err, sigv4.ErrUnsigned):
		return authError("InvalidSignatureException", "SignatureDoesNotMatch", "%s", err)
	}
	return authError("InvalidSignatureException", "SignatureDoesNotMatch",
		"The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
}

// caller is the root user, or the role session.
func (s *Server) caller(r *http.Request, session *caller.Session) *caller.Caller {
	ip, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		ip = r.RemoteAddr
	}
	c := &caller.Caller{
		Account: s.options.AccountID, Region: s.options.Region, Now: s.options.Clock.Now(), SourceIP: ip, UserAgent: r.UserAgent(),
		Secure: r.TLS != nil, Session: session, ARN: "arn:aws:iam::" + s.options.AccountID + ":root", UserID: s.options.AccountID,
	}
	switch {
	case session == nil || session.Kind == caller.OfRoot:
	case session.Kind == caller.OfFederate:
		c.ARN = "arn:aws:sts::" + s.options.AccountID + ":federated-user/" + session.Name
		c.UserID = s.options.AccountID + ":" + session.Name
		c.Rights = caller.Rights{Identity: everything} // of the root user: the session policies limit them
	default:
		role := session.RoleARN[strings.LastIndexByte(session.RoleARN, '/')+1:]
		c.ARN = "arn:aws:sts::" + s.options.AccountID + ":assumed-role/" + role + "/" + session.Name
		c.UserID = session.RoleID + ":" + session.Name
		c.Rights = s.directory.Rights(session.RoleID)
		s.directory.Used(session.RoleID, c.Now)
	}
	return c
}

// everything is what the root user may do.
var everything = []*policy.Document{mustParse(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`)}

func mustParse(text string) *policy.Document {
	d, err := policy.Parse(text)
	if err != nil {
		panic(err) // the text above is wrong
	}
	return d
}

// login finds out whose registry password a request brings.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html
func (s *Server) login(r *http.Request) (*caller.Caller, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return nil, unauthorized("no basic auth credentials")
	}
	scheme, rest, _ := strings.Cut(header, " ")
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
	user, password, ok := strings.Cut(string(raw), ":")
	if !strings.EqualFold(scheme, "Basic") || err != nil || !ok || user != "AWS" {
		return nil, unauthorized("Your Authorization Token is invalid.")
	}
	p, known, usable := s.registry.Password(password, s.options.Clock.Now())
	switch {
	case !known:
		return nil, unauthorized("Your Authorization Token is invalid.")
	case !usable:
		return nil, &apierror.Error{Code: "ExpiredTokenException", Message: "Your authorization token has expired. Reauthenticate and try again.",
			RegistryCode: "DENIED", RegistryStatus: http.StatusForbidden}
	}
	return s.caller(r, p.Session), nil
}

func unauthorized(message string) error {
	return &apierror.Error{Code: "UnrecognizedClientException", Message: message, RegistryCode: "UNAUTHORIZED", RegistryStatus: http.StatusUnauthorized}
}

// challenge is what ECR answers to a request without credentials.
func (s *Server) challenge() string {
	return fmt.Sprintf(`Basic realm="%s/",service="ecr.amazonaws.com"`, s.URL())
}
