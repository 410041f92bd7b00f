package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// The two versions of the policy language. Policy variables act only in the
// newer one: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_version.html
const (
	VersionOld = "2008-10-17"
	VersionNew = "2012-10-17"
)

// Document is one parsed policy. It is never changed after Parse.
type Document struct {
	Version    string
	ID         string
	Statements []Statement
}

// Statement is one parsed statement. Of each pair X and NotX one is set.
type Statement struct {
	Sid          string
	Allow        bool
	Principal    *Principals
	NotPrincipal *Principals
	Action       []string
	NotAction    []string
	Resource     []string
	NotResource  []string
	Conditions   []Condition

	action, resource patterns // compiled; negated ones too
	variables        bool     // the document's version knows policy variables
}

// Parse reads a policy document of any kind. It refuses what the grammar
// refuses; what only one kind of policy forbids is told by the Validate methods.
func Parse(text string) (*Document, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	var top map[string]json.RawMessage
	if err := dec.Decode(&top); err != nil {
		return nil, fmt.Errorf("syntax errors in policy: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("syntax errors in policy: more than one JSON value")
	}
	if top == nil {
		return nil, errors.New("syntax errors in policy: not an object")
	}
	if err := noDuplicateKeys([]byte(text)); err != nil {
		return nil, err
	}
	d := &Document{Version: VersionOld}
	var statements json.RawMessage
	for key, raw := range top {
		var err error
		switch key {
		case "Version":
			err = json.Unmarshal(raw, &d.Version)
			if err == nil && d.Version != VersionOld && d.Version != VersionNew {
				err = fmt.Errorf("the policy must contain a valid version string")
			}
		case "Id":
			err = json.Unmarshal(raw, &d.ID)
		case "Statement":
			statements = raw
		default:
			err = fmt.Errorf("syntax errors in policy: unknown element %q", key)
		}
		if err != nil {
			return nil, err
		}
	}
	if statements == nil {
		return nil, errors.New("syntax errors in policy: Statement is missing")
	}
	var list []json.RawMessage
	switch firstByte(statements) {
	case '[':
		if err := json.Unmarshal(statements, &list); err != nil {
			return nil, fmt.Errorf("syntax errors in policy: %w", err)
		}
	case '{':
		list = []json.RawMessage{statements}
	default:
		return nil, errors.New("syntax errors in policy: Statement is neither an object nor a list")
	}
	if len(list) == 0 {
		return nil, errors.New("syntax errors in policy: Statement is empty")
	}
	sids := map[string]bool{}
	for i, raw := range list {
		s, err := parseStatement(raw, d.Version == VersionNew)
		if err != nil {
			return nil, fmt.Errorf("statement %d: %w", i+1, err)
		}
		if s.Sid != "" && sids[s.Sid] {
			return nil, refuse("Statement IDs (SID) in a single policy must be unique.")
		}
		sids[s.Sid] = true
		d.Statements = append(d.Statements, *s)
	}
	return d, nil
}

func parseStatement(raw json.RawMessage, variables bool) (*Statement, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
		return nil, errors.New("syntax errors in policy: a statement is not an object")
	}
	s := &Statement{variables: variables}
	effect := ""
	for key, value := range fields {
		var err error
		switch key {
		case "Sid":
			err = json.Unmarshal(value, &s.Sid)
		case "Effect":
			err = json.Unmarshal(value, &effect)
		case "Action":
			s.Action, err = stringList(value)
		case "NotAction":
			s.NotAction, err = stringList(value)
		case "Resource":
			s.Resource, err = stringList(value)
		case "NotResource":
			s.NotResource, err = stringList(value)
		case "Principal":
			s.Principal, err = parsePrincipals(value)
		case "NotPrincipal":
			s.NotPrincipal, err = parsePrincipals(value)
		case "Condition":
			s.Conditions, err = parseConditions(value, variables)
		default:
			err = fmt.Errorf("unknown element %q", key)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	switch effect {
	case "Allow":
		s.Allow = true
	case "Deny":
	default:
		if strings.EqualFold(effect, "Allow") || strings.EqualFold(effect, "Deny") {
			return nil, legacy(fmt.Sprintf("invalid effect: %q", effect))
		}
		return nil, fmt.Errorf("invalid effect: %q", effect)
	}
	switch {
	case s.Action != nil && s.NotAction != nil:
		return nil, errors.New("both Action and NotAction")
	case len(s.Action) == 0 && len(s.NotAction) == 0:
		return nil, refuse("Policy statement must contain actions.")
	case s.Resource != nil && s.NotResource != nil:
		return nil, errors.New("both Resource and NotResource")
	case s.Principal != nil && s.NotPrincipal != nil:
		return nil, errors.New("both Principal and NotPrincipal")
	}
	for _, a := range append(append([]string{}, s.Action...), s.NotAction...) {
		if err := validAction(a); err != nil {
			return nil, err
		}
	}
	s.compile()
	return s, nil
}

// validAction wants "*" or vendor:name.
func validAction(a string) error {
	if a == "*" {
		return nil
	}
	vendor, name, ok := strings.Cut(a, ":")
	switch {
	case !ok || vendor == "" || name == "":
		return refuse("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
	case strings.Contains(name, ":"):
		return refuse("Actions/Condition can contain only one colon.")
	}
	for _, r := range vendor {
		if r != '-' && r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') {
			return refuse("Vendor %s is not valid", vendor)
		}
	}
	return nil
}

// ValidateIdentity tells what an identity-based, session or boundary policy must not have.
func (d *Document) ValidateIdentity() error {
	for _, s := range d.Statements {
		if s.Principal != nil || s.NotPrincipal != nil {
			return refuse("Policy document should not specify a principal.")
		}
		if len(s.Resource) == 0 && len(s.NotResource) == 0 {
			return refuse("Policy statement must contain resources.")
		}
		for _, r := range append(append([]string{}, s.Resource...), s.NotResource...) {
			if err := validResource(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// ValidateManaged tells what a managed policy must have besides.
func (d *Document) ValidateManaged() error {
	if d.Version != VersionNew {
		return refuse("Policy document must be version 2012-10-17 or greater.")
	}
	return d.ValidateIdentity()
}

// ValidateTrust tells what a role's trust policy must not have.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html
func (d *Document) ValidateTrust() error {
	for _, s := range d.Statements {
		if s.Resource != nil || s.NotResource != nil {
			return refuse("Has prohibited field Resource.")
		}
		if s.Principal == nil {
			return refuse("Missing required field Principal") // NotPrincipal can't stand in a trust policy
		}
		for _, a := range append(append([]string{}, s.Action...), s.NotAction...) {
			if a != "*" && !strings.HasPrefix(strings.ToLower(a), "sts:") {
				return refuse("AssumeRole policy may only specify STS AssumeRole actions.")
			}
		}
	}
	return nil
}

// ValidateResourceBased tells what a repository policy must have. It may leave out the resource: that is the repository.
func (d *Document) ValidateResourceBased() error {
	for _, s := range d.Statements {
		if s.Principal == nil && s.NotPrincipal == nil {
			return refuse("Missing required field Principal")
		}
		if s.NotPrincipal != nil && s.Allow {
			return errors.New("NotPrincipal is supported with effect Deny alone")
		}
	}
	return nil
}

// stringList reads a string or a list of strings.
func stringList(raw json.RawMessage) ([]string, error) {
	switch firstByte(raw) {
	case '"':
		var one string
		if err := json.Unmarshal(raw, &one); err != nil {
			return nil, err
		}
		return []string{one}, nil
	case '[':
		var many []*string
		if err := json.Unmarshal(raw, &many); err != nil {
			return nil, err
		}
		out := make([]string, 0, len(many))
		for _, s := range many {
			if s == nil {
				return nil, errors.New("null in a list of strings")
			}
			out = append(out, *s)
		}
		return out, nil
	}
	return nil, errors.New("neither a string nor a list of strings")
}

// scalarList reads a condition's values: strings, numbers and booleans, one or many.
func scalarList(raw json.RawMessage) ([]string, error) {
	items := []json.RawMessage{raw}
	if firstByte(raw) == '[' {
		items = nil
		if err := json.Unmarshal(raw, &items); err != nil {
			return nil, err
		}
	}
	out := make([]string, 0, len(items))
	for _, item := range items {
		dec := json.NewDecoder(bytes.NewReader(item))
		dec.UseNumber()
		var v any
		if err := dec.Decode(&v); err != nil {
			return nil, err
		}
		switch v := v.(type) {
		case string:
			out = append(out, v)
		case bool:
			out = append(out, strconv.FormatBool(v))
		case json.Number:
			out = append(out, v.String())
		default:
			return nil, errors.New("a condition value is neither a string, a number nor a boolean")
		}
	}
	return out, nil
}

func firstByte(raw json.RawMessage) byte {
	trimmed := bytes.TrimLeft(raw, " \t\r\n")
	if len(trimmed) == 0 {
		return 0
	}
	return trimmed[0]
}

// noDuplicateKeys refuses an object that names a key twice: IAM does, and encoding/json would keep the last.
func noDuplicateKeys(text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	type level struct {
		object, value bool
		keys          map[string]bool
	}
	var stack []*level
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("syntax errors in policy: %w", err)
		}
		var top *level
		if len(stack) > 0 {
			top = stack[len(stack)-1]
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			stack = stack[:len(stack)-1]
			continue
		}
		if top != nil && top.object && !top.value {
			key, _ := token.(string)
			if top.keys[key] {
				return fmt.Errorf("syntax errors in policy: key %q is there twice", key)
			}
			top.keys[key] = true
			top.value = true
			continue
		}
		if top != nil {
			top.value = false
		}
		if delim, ok := token.(json.Delim); ok {
			stack = append(stack, &level{object: delim == '{', keys: map[string]bool{}})
		}
	}
}
