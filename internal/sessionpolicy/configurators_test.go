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
	for name, test := range map[string]struct {
		policy     string
		arns       []string
		restricted bool
	}{
		"ours":              {ours, []string{old, root}, true},
		"two roles":         {both, []string{old, "arn:aws:iam::123456789012:role/new", root}, true},
		"one ARN, no list":  {`{"Statement":[{"Effect":"Deny","Action":"ecr:SetRepositoryPolicy","Condition":{"ArnNotEquals":{"aws:PrincipalArn":"a"}}}]}`, []string{"a"}, true},
		"without exception": {`{"Statement":[{"Effect":"Deny","Action":["ecr:SetRepositoryPolicy"]}]}`, nil, true},
		"an allowance":      {`{"Statement":[{"Effect":"Allow","Action":["ecr:SetRepositoryPolicy"]}]}`, nil, false},
		"none":              {"", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			arns, restricted := Configurators(test.policy)
			if diff := cmp.Diff(test.arns, arns); diff != "" || restricted != test.restricted {
				t.Errorf("restricted %v, ARNs (-want +got):\n%s", restricted, diff)
			}
		})
	}
}
