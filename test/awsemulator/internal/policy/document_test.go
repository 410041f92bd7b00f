package policy

import (
	"strings"
	"testing"
)

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
func TestParseRefusesWhatTheGrammarRefuses(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"no JSON", `{`, "syntax errors"},
		{"two values", allowAll + allowAll, "more than one"},
		{"null", `null`, "not an object"},
		{"no statement", `{"Version":"2012-10-17"}`, "Statement is missing"},
		{"empty list of statements", `{"Version":"2012-10-17","Statement":[]}`, "Statement is empty"},
		{"statement is text", `{"Version":"2012-10-17","Statement":"x"}`, "neither an object nor a list"},
		{"unknown version", `{"Version":"2020-01-01","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, "valid version"},
		{"unknown element", `{"Version":"2012-10-17","Foo":1,"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, `unknown element "Foo"`},
		{"unknown element in a statement", `{"Statement":{"Effect":"Allow","Actions":"*","Resource":"*"}}`, `unknown element "Actions"`},
		{"lower-case effect", `{"Statement":{"Effect":"allow","Action":"*","Resource":"*"}}`, "invalid effect"},
		{"no action", `{"Statement":{"Effect":"Allow","Resource":"*"}}`, "must contain actions"},
		{"Action and NotAction", `{"Statement":{"Effect":"Allow","Action":"*","NotAction":"*","Resource":"*"}}`, "both Action and NotAction"},
		{"Resource and NotResource", `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*","NotResource":"*"}}`, "both Resource"},
		{"action without vendor", `{"Statement":{"Effect":"Allow","Action":"PutImage","Resource":"*"}}`, "vendor"},
		{"empty list of actions", `{"Statement":{"Effect":"Allow","Action":[],"Resource":"*"}}`, "must contain actions"},
		{"number as action", `{"Statement":{"Effect":"Allow","Action":1,"Resource":"*"}}`, "neither a string"},
		{"same Sid twice", `{"Statement":[{"Sid":"A","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"A","Effect":"Allow","Action":"*","Resource":"*"}]}`, "unique"},
		{"same key twice", `{"Statement":{"Effect":"Allow","Effect":"Deny","Action":"*","Resource":"*"}}`, "twice"},
		{"unknown operator", statement(`"Action":"*","Resource":"*","Condition":{"StringEqual":{"a:b":"c"}}`), "invalid condition type"},
		{"unknown set operator", statement(`"Action":"*","Resource":"*","Condition":{"ForSome:StringEquals":{"a:b":"c"}}`), "invalid condition type"},
		{"NullIfExists", statement(`"Action":"*","Resource":"*","Condition":{"NullIfExists":{"a:b":"true"}}`), "invalid condition type"},
		{"date that is none", statement(`"Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":"tomorrow"}}`), "not a date"},
		{"network that is none", statement(`"Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/99"}}`), "not an IP address"},
		{"object as condition value", statement(`"Action":"*","Resource":"*","Condition":{"StringEquals":{"a:b":{}}}`), "condition value"},
		{"wildcard in a principal", `{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:role/*"},"Action":"*"}}`, "wildcard"},
		{"unknown kind of principal", `{"Statement":{"Effect":"Allow","Principal":{"Robot":"x"},"Action":"*"}}`, "unknown kind"},
		{"text as principal", `{"Statement":{"Effect":"Allow","Principal":"me","Action":"*"}}`, "Invalid principal"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Parse(tc.text)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
		})
	}
}

func TestValidateTellsWhatOneKindOfPolicyForbids(t *testing.T) {
	trust := doc(t, `{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}`)
	identity := doc(t, allowAll)
	for _, tc := range []struct {
		name string
		err  error
		ok   bool
	}{
		{"identity policy", identity.ValidateIdentity(), true},
		{"identity policy as trust", identity.ValidateTrust(), false},
		{"identity policy as resource policy", identity.ValidateResourceBased(), false},
		{"trust policy", trust.ValidateTrust(), true},
		{"trust policy as identity policy", trust.ValidateIdentity(), false},
		{"trust of another service's action", doc(t, `{"Statement":{"Effect":"Allow","Principal":"*","Action":"ecr:PutImage"}}`).ValidateTrust(), false},
		{"trust with NotPrincipal", doc(t, `{"Statement":{"Effect":"Deny","NotPrincipal":{"AWS":"123456789012"},"Action":"sts:AssumeRole"}}`).ValidateTrust(), false},
		{"resource policy with NotPrincipal", doc(t, `{"Statement":{"Effect":"Deny","NotPrincipal":{"AWS":"123456789012"},"Action":"ecr:PutImage"}}`).ValidateResourceBased(), true},
		{"resource policy that allows NotPrincipal", doc(t, `{"Statement":{"Effect":"Allow","NotPrincipal":{"AWS":"123456789012"},"Action":"ecr:PutImage"}}`).ValidateResourceBased(), false},
		{"empty list of resources", doc(t, statement(`"Action":"*","Resource":[]`)).ValidateIdentity(), false},
		{"managed policy of the older version", doc(t, strings.Replace(allowAll, VersionNew, VersionOld, 1)).ValidateManaged(), false},
		{"resource without ARN", doc(t, statement(`"Action":"*","Resource":"team/app"`)).ValidateIdentity(), false},
	} {
		if (tc.err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, tc.err)
		}
	}
}
