package policy

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	account = "123456789012"
	roleARN = "arn:aws:iam::123456789012:role/builder"
	session = "arn:aws:sts::123456789012:assumed-role/builder/build-1"
	repoARN = "arn:aws:ecr:us-east-1:123456789012:repository/team/app"
)

var builder = Caller{AccountID: account, ARN: session, RoleARN: roleARN, RoleID: "AROABUILDER"}

func doc(t *testing.T, text string) *Document {
	t.Helper()
	d, err := Parse(text)
	if err != nil {
		t.Fatalf("parse %s: %v", text, err)
	}
	return d
}

func docs(t *testing.T, texts ...string) []*Document {
	t.Helper()
	var out []*Document
	for _, s := range texts {
		out = append(out, doc(t, s))
	}
	return out
}

const (
	allowAll  = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
	denyAll   = `{"Version":"2012-10-17","Statement":{"Sid":"No","Effect":"Deny","Action":"*","Resource":"*"}}`
	allowIAM  = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:*","Resource":"*"}}`
	allowPull = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ecr:BatchGetImage","Resource":"*"}}`
)

func byPrincipal(effect, principal string) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"` + effect + `","Principal":` + principal + `,"Action":"ecr:*"}}`
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html
func TestEvaluateCombinesKindsOfPolicies(t *testing.T) {
	denied := func(s Source) Decision { return Decision{Source: s} }
	for _, tc := range []struct {
		name     string
		identity []string
		boundary string
		session  []string
		resource string
		trust    bool
		caller   Caller
		want     Decision
	}{
		{name: "nothing allows", caller: builder, want: denied(IdentityBased)},
		{name: "identity allows", identity: []string{allowAll}, caller: builder, want: Decision{Allowed: true, Source: IdentityBased}},
		{name: "one of two identity policies allows", identity: []string{allowIAM, allowPull}, caller: builder, want: Decision{Allowed: true, Source: IdentityBased}},
		{name: "identity deny beats identity allow", identity: []string{allowAll, denyAll}, caller: builder, want: Decision{Explicit: true, Source: IdentityBased, Sid: "No"}},
		{name: "boundary does not allow", identity: []string{allowAll}, boundary: allowIAM, caller: builder, want: denied(Boundary)},
		{name: "boundary allows nothing by itself", boundary: allowAll, caller: builder, want: denied(IdentityBased)},
		{name: "boundary and identity allow", identity: []string{allowAll}, boundary: allowPull, caller: builder, want: Decision{Allowed: true, Source: IdentityBased}},
		{name: "boundary denies", identity: []string{allowAll}, boundary: denyAll, caller: builder, want: Decision{Explicit: true, Source: Boundary, Sid: "No"}},
		{name: "session policy does not allow", identity: []string{allowAll}, session: []string{allowIAM}, caller: builder, want: denied(Session)},
		{name: "session policy allows nothing by itself", session: []string{allowAll}, caller: builder, want: denied(IdentityBased)},
		{name: "session policies together allow", identity: []string{allowAll}, session: []string{allowIAM, allowPull}, caller: builder, want: Decision{Allowed: true, Source: IdentityBased}},
		{name: "session policy denies", identity: []string{allowAll}, session: []string{denyAll}, caller: builder, want: Decision{Explicit: true, Source: Session, Sid: "No"}},
		{name: "identity, boundary and session allow", identity: []string{allowAll}, boundary: allowAll, session: []string{allowPull}, caller: builder, want: Decision{Allowed: true, Source: IdentityBased}},

		{name: "resource policy for the account only delegates", resource: byPrincipal("Allow", `{"AWS":"arn:aws:iam::123456789012:root"}`), caller: builder, want: denied(IdentityBased)},
		{name: "account ID is the same as its root", resource: byPrincipal("Allow", `{"AWS":"123456789012"}`), caller: builder, want: denied(IdentityBased)},
		{name: "resource policy for the role allows", resource: byPrincipal("Allow", `{"AWS":"`+roleARN+`"}`), caller: builder, want: Decision{Allowed: true, Source: ResourceBased}},
		{name: "resource policy for the role's ID allows", resource: byPrincipal("Allow", `{"AWS":"AROABUILDER"}`), caller: builder, want: Decision{Allowed: true, Source: ResourceBased}},
		{name: "session policy limits what the role's ARN is given", resource: byPrincipal("Allow", `{"AWS":"`+roleARN+`"}`), session: []string{allowIAM}, caller: builder, want: denied(Session)},
		{name: "boundary limits what the role's ARN is given", resource: byPrincipal("Allow", `{"AWS":"`+roleARN+`"}`), boundary: allowIAM, caller: builder, want: denied(Boundary)},
		{name: "the session's ARN is limited by neither", resource: byPrincipal("Allow", `{"AWS":"`+session+`"}`), boundary: allowIAM, session: []string{allowIAM}, caller: builder, want: Decision{Allowed: true, Source: ResourceBased}},
		{name: "an explicit deny limits the session's ARN too", resource: byPrincipal("Allow", `{"AWS":"`+session+`"}`), session: []string{denyAll}, caller: builder, want: Decision{Explicit: true, Source: Session, Sid: "No"}},
		{name: "everybody is limited by neither", resource: byPrincipal("Allow", `"*"`), session: []string{allowIAM}, caller: builder, want: Decision{Allowed: true, Source: ResourceBased}},
		{name: "resource policy for another role is not for this one", resource: byPrincipal("Allow", `{"AWS":"arn:aws:iam::123456789012:role/other"}`), caller: builder, want: denied(IdentityBased)},
		{name: "resource deny beats all", identity: []string{allowAll}, resource: byPrincipal("Deny", `"*"`), caller: builder, want: Decision{Explicit: true, Source: ResourceBased}},
		{name: "resource deny for the account reaches its roles", identity: []string{allowAll}, resource: byPrincipal("Deny", `{"AWS":"123456789012"}`), caller: builder, want: Decision{Explicit: true, Source: ResourceBased}},
		{name: "resource deny for another role does not", identity: []string{allowAll}, resource: byPrincipal("Deny", `{"AWS":"arn:aws:iam::123456789012:role/other"}`), caller: builder, want: Decision{Allowed: true, Source: IdentityBased}},

		{name: "root needs no policy", caller: Caller{AccountID: account, Root: true, ARN: "arn:aws:iam::123456789012:root"}, want: Decision{Allowed: true, Source: IdentityBased}},
		{name: "a resource policy denies root", resource: byPrincipal("Deny", `"*"`), caller: Caller{AccountID: account, Root: true, ARN: "arn:aws:iam::123456789012:root"}, want: Decision{Explicit: true, Source: ResourceBased}},

		{name: "trust must allow whatever the identity may", identity: []string{allowAll}, trust: true, resource: byPrincipal("Allow", `{"AWS":"arn:aws:iam::123456789012:role/other"}`), caller: builder, want: denied(ResourceBased)},
		{name: "trust in the account needs the identity too", trust: true, resource: byPrincipal("Allow", `{"AWS":"123456789012"}`), caller: builder, want: denied(IdentityBased)},
		{name: "trust in the account and the identity allow", identity: []string{allowAll}, trust: true, resource: byPrincipal("Allow", `{"AWS":"123456789012"}`), caller: builder, want: Decision{Allowed: true, Source: IdentityBased}},
		{name: "trust in the role is enough", trust: true, resource: byPrincipal("Allow", `{"AWS":"`+roleARN+`"}`), caller: builder, want: Decision{Allowed: true, Source: ResourceBased}},
		{name: "a service is trusted by name", trust: true, resource: byPrincipal("Allow", `{"Service":"cloudformation.amazonaws.com"}`), caller: Caller{Service: "cloudformation.amazonaws.com"}, want: Decision{Allowed: true, Source: ResourceBased}},
		{name: "another service is not", trust: true, resource: byPrincipal("Allow", `{"Service":"ec2.amazonaws.com"}`), caller: Caller{Service: "cloudformation.amazonaws.com"}, want: denied(ResourceBased)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := Policies{Identity: docs(t, tc.identity...), ResourceMustAllow: tc.trust}
			if tc.boundary != "" {
				p.Boundary = doc(t, tc.boundary)
			}
			if tc.session != nil {
				p.Session = docs(t, tc.session...)
			}
			if tc.resource != "" {
				p.Resource = doc(t, tc.resource)
			}
			got := Evaluate(Request{Caller: tc.caller, Action: "ecr:BatchGetImage", Resource: repoARN, Context: Context{}}, p)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html
func TestNotPrincipalExceptsWhomItNamesInAllForms(t *testing.T) {
	deny := func(principals string) *Document {
		return doc(t, `{"Version":"2012-10-17","Statement":{"Effect":"Deny","NotPrincipal":{"AWS":[`+principals+`]},"Action":"ecr:*"}}`)
	}
	for _, tc := range []struct {
		name, principals string
		allowed          bool
	}{
		{"the role alone is not enough", `"` + roleARN + `"`, false},
		{"role and session are not enough", `"` + roleARN + `","` + session + `"`, false},
		{"account, role and session are", `"` + account + `","` + roleARN + `","` + session + `"`, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := Evaluate(Request{Caller: builder, Action: "ecr:PutImage", Resource: repoARN, Context: Context{}},
				Policies{Identity: docs(t, allowAll), Resource: deny(tc.principals)})
			if d.Allowed != tc.allowed {
				t.Errorf("allowed %v, want %v", d.Allowed, tc.allowed)
			}
		})
	}
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
	bounded := Policies{Identity: docs(t, allowAll), Boundary: doc(t, allowAll), Resource: deny(`"` + account + `","` + roleARN + `","` + session + `"`)}
	if d := Evaluate(Request{Caller: builder, Action: "ecr:PutImage", Resource: repoARN, Context: Context{}}, bounded); d.Allowed {
		t.Error("a role with a boundary is excepted from a NotPrincipal deny")
	}
}

func statement(fields string) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"Allow",` + fields + `}}`
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
func TestActionsAndResourcesMatch(t *testing.T) {
	ctx := Context{}
	ctx.Set("aws:PrincipalTag/project", "p1")
	ctx.Set("aws:PrincipalTag/star", "*")
	ctx.Set("aws:PrincipalTag/two", "a", "b")
	for _, tc := range []struct {
		name, fields, action, resource string
		want                           bool
	}{
		{"action without regard to case", `"Action":"ECR:putimage","Resource":"*"`, "ecr:PutImage", repoARN, true},
		{"wildcard at the end", `"Action":"ecr:Put*","Resource":"*"`, "ecr:PutImage", repoARN, true},
		{"wildcard in the middle", `"Action":"ecr:*Image","Resource":"*"`, "ecr:PutImage", repoARN, true},
		{"question mark is one character", `"Action":"ecr:PutImag?","Resource":"*"`, "ecr:PutImage", repoARN, true},
		{"question mark is not none", `"Action":"ecr:PutImage?","Resource":"*"`, "ecr:PutImage", repoARN, false},
		{"another action", `"Action":["ecr:GetImage","ecr:PutImageTag"],"Resource":"*"`, "ecr:PutImage", repoARN, false},
		{"NotAction leaves others", `"NotAction":"ecr:PutImage","Resource":"*"`, "ecr:BatchGetImage", repoARN, true},
		{"NotAction takes away", `"NotAction":"ecr:Put*","Resource":"*"`, "ecr:PutImage", repoARN, false},

		{"resource with regard to case", `"Action":"*","Resource":"arn:aws:ecr:us-east-1:123456789012:repository/Team/app"`, "ecr:PutImage", repoARN, false},
		{"resource exactly", `"Action":"*","Resource":"` + repoARN + `"`, "ecr:PutImage", repoARN, true},
		{"wildcard in the last part takes slashes", `"Action":"*","Resource":"arn:aws:ecr:us-east-1:123456789012:repository/*"`, "ecr:PutImage", repoARN, true},
		{"wildcard for region and account", `"Action":"*","Resource":"arn:aws:ecr:*:*:repository/team/app"`, "ecr:PutImage", repoARN, true},
		{"a star that ends a part reaches over colons", `"Action":"*","Resource":"arn:aws:ecr:*:repository/team/app"`, "ecr:PutImage", repoARN, true},
		{"a star inside a part does not", `"Action":"*","Resource":"arn:aws:ecr:us-*t/team/app"`, "ecr:PutImage", repoARN, false},
		{"a star inside a part takes that part", `"Action":"*","Resource":"arn:aws:ecr:us-*-1:123456789012:repository/*/app"`, "ecr:PutImage", repoARN, true},
		{"a question mark is no colon", `"Action":"*","Resource":"arn:aws:ecr?us-east-1:123456789012:repository/team/app"`, "ecr:PutImage", repoARN, false},
		{"another account", `"Action":"*","Resource":"arn:aws:ecr:us-east-1:999999999999:repository/*"`, "ecr:PutImage", repoARN, false},
		{"an incomplete ARN that ends in a wildcard", `"Action":"*","Resource":"arn:aws:ecr:*"`, "ecr:PutImage", repoARN, true},
		{"a repository's ARN is not the operation's star", `"Action":"*","Resource":"` + repoARN + `"`, "ecr:GetAuthorizationToken", "*", false},
		{"NotResource leaves others", `"Action":"*","NotResource":"arn:aws:ecr:us-east-1:123456789012:repository/other"`, "ecr:PutImage", repoARN, true},
		{"NotResource takes away", `"Action":"*","NotResource":"arn:aws:ecr:*:*:repository/team/*"`, "ecr:PutImage", repoARN, false},

		{"variable", `"Action":"*","Resource":"arn:aws:ecr:*:*:repository/${aws:PrincipalTag/project}/image"`, "ecr:PutImage", "arn:aws:ecr:r:a:repository/p1/image", true},
		{"variable without regard to the key's case", `"Action":"*","Resource":"arn:aws:ecr:*:*:repository/${AWS:principaltag/Project}/image"`, "ecr:PutImage", "arn:aws:ecr:r:a:repository/p1/image", true},
		{"variable of another value", `"Action":"*","Resource":"arn:aws:ecr:*:*:repository/${aws:PrincipalTag/project}/image"`, "ecr:PutImage", "arn:aws:ecr:r:a:repository/p2/image", false},
		{"variable without value matches nothing", `"Action":"*","Resource":"arn:aws:ecr:*:*:repository/${aws:PrincipalTag/none}*"`, "ecr:PutImage", "arn:aws:ecr:r:a:repository/p1", false},
		{"variable with a default", `"Action":"*","Resource":"arn:aws:ecr:*:*:repository/${aws:PrincipalTag/none, 'p9'}"`, "ecr:PutImage", "arn:aws:ecr:r:a:repository/p9", true},
		{"a value wins over the default", `"Action":"*","Resource":"arn:aws:ecr:*:*:repository/${aws:PrincipalTag/project, 'p9'}"`, "ecr:PutImage", "arn:aws:ecr:r:a:repository/p9", false},
		{"a star in a tag's value is no wildcard", `"Action":"*","Resource":"arn:aws:ecr:*:*:repository/${aws:PrincipalTag/star}"`, "ecr:PutImage", "arn:aws:ecr:r:a:repository/p1", false},
		{"a key of several values can't be a variable", `"Action":"*","Resource":"arn:aws:ecr:*:*:repository/${aws:PrincipalTag/two}"`, "ecr:PutImage", "arn:aws:ecr:r:a:repository/a", false},
		{"an escaped star is no wildcard", `"Action":"*","Resource":"arn:aws:ecr:*:*:repository/${*}"`, "ecr:PutImage", "arn:aws:ecr:r:a:repository/p1", false},
		{"an escaped star is a star", `"Action":"*","Resource":"arn:aws:ecr:*:*:repository/${*}"`, "ecr:PutImage", "arn:aws:ecr:r:a:repository/*", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := Evaluate(Request{Caller: builder, Action: tc.action, Resource: tc.resource, Context: ctx}, Policies{Identity: docs(t, statement(tc.fields))})
			if d.Allowed != tc.want {
				t.Errorf("allowed %v, want %v", d.Allowed, tc.want)
			}
		})
	}
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_version.html
func TestOldVersionTakesVariablesLiterally(t *testing.T) {
	ctx := Context{}
	ctx.Set("aws:PrincipalTag/project", "p1")
	old := doc(t, `{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:ecr:*:*:repository/${aws:PrincipalTag/project}"}}`)
	for resource, want := range map[string]bool{"arn:aws:ecr:r:a:repository/p1": false, "arn:aws:ecr:r:a:repository/${aws:PrincipalTag/project}": true} {
		if d := Evaluate(Request{Caller: builder, Action: "ecr:PutImage", Resource: resource, Context: ctx}, Policies{Identity: []*Document{old}}); d.Allowed != want {
			t.Errorf("%s: allowed %v, want %v", resource, d.Allowed, want)
		}
	}
}
