package sessionpolicy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestConfiguratorsAreTheExceptionsOfTheDenial(t *testing.T) {
	const old, root = "arn:aws:iam::123456789012:role/old", "arn:aws:iam::123456789012:root"
	ours := Repository(RepositoryAccess{Partition: "aws", AccountID: "123456789012", ControllerARN: old, ProjectID: "p"})
	both := strings.ReplaceAll(ours, `"`+old+`","`+root+`"`, `"`+old+`","arn:aws:iam::123456789012:role/new","`+root+`"`)
	denial := func(rest string) string {
		return `{"Statement":[{"Effect":"Deny","Action":"ecr:SetRepositoryPolicy"` + rest + `}]}`
	}
	const except = `,"Condition":{"ArnNotEquals":{"aws:PrincipalArn":"a"}}`
	for name, test := range map[string]struct {
		policy string
		arns   []string
		by     Configuring
	}{
		"ours":                    {ours, []string{old, root}, ByListed},
		"two roles":               {both, []string{old, "arn:aws:iam::123456789012:role/new", root}, ByListed},
		"one ARN, no list":        {denial(`,"Principal":"*"` + except), []string{"a"}, ByListed},
		"one statement, no list":  {`{"Statement":{"Effect":"Deny","Principal":{"AWS":"*"},"Action":"ecr:*"` + except + `}}`, []string{"a"}, ByListed},
		"another case":            {`{"Statement":[{"Effect":"Deny","Principal":"*","Action":["ecr:setrepositorypolicy"]` + except + `}]}`, []string{"a"}, ByListed},
		"without exception":       {denial(`,"Principal":"*"`), nil, ByListed},
		"an allowance":            {`{"Statement":[{"Effect":"Allow","Principal":"*","Action":["ecr:SetRepositoryPolicy"]}]}`, nil, ByAnybody},
		"another action":          {`{"Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:PutImage"` + except + `}]}`, nil, ByAnybody},
		"none":                    {"", nil, ByAnybody},
		"some principals only":    {denial(`,"Principal":{"AWS":"arn:aws:iam::1:role/x"}` + except), nil, ByUnknown},
		"all principals but some": {denial(`,"NotPrincipal":{"AWS":"arn:aws:iam::1:role/x"}`), nil, ByUnknown},
		"all actions but some":    {`{"Statement":[{"Effect":"Deny","Principal":"*","NotAction":"ecr:PutImage"}]}`, nil, ByUnknown},
		"another condition":       {denial(`,"Principal":"*","Condition":{"Bool":{"aws:SecureTransport":"false"}}`), nil, ByUnknown},
		"one more condition":      {denial(`,"Principal":"*","Condition":{"ArnNotEquals":{"aws:PrincipalArn":"a"},"Bool":{"aws:SecureTransport":"false"}}`), nil, ByUnknown},
		"not JSON":                {"{", nil, ByUnknown},
		"two denials": {`{"Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:*","Condition":{"ArnNotEquals":{"aws:PrincipalArn":["a","b"]}}},` +
			`{"Effect":"Deny","Principal":"*","Action":"ecr:Set*","Condition":{"ArnNotEquals":{"aws:PrincipalArn":["b","c"]}}}]}`, []string{"b"}, ByListed},
	} {
		t.Run(name, func(t *testing.T) {
			arns, by := Configurators(test.policy)
			if diff := cmp.Diff(test.arns, arns); diff != "" || by != test.by {
				t.Errorf("by %v, want %v; ARNs (-want +got):\n%s", by, test.by, diff)
			}
		})
	}
}
