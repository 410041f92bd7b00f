package policy

import "testing"

// The sentences are IAM's, as its users report them.
func TestMessageOfARefusedPolicy(t *testing.T) {
	resource := func(r string) string { return statement(`"Action":"ecr:PutImage","Resource":"` + r + `"`) }
	action := func(a string) string { return statement(`"Action":"` + a + `","Resource":"*"`) }
	for _, tc := range []struct{ name, text, want string }{
		{"no JSON", `{`, "Syntax errors in policy."},
		{"unknown element", statement(`"Actions":"*","Resource":"*"`), "Syntax errors in policy."},
		{"unknown version", `{"Version":"2020-01-01","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, "Syntax errors in policy."},
		{"unknown operator", statement(`"Action":"*","Resource":"*","Condition":{"StringEqual":{"a:b":"c"}}`), "Syntax errors in policy."},
		{"no version", `{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, "Policy document must be version 2012-10-17 or greater."},
		{"effect in lower case", `{"Version":"2012-10-17","Statement":{"Effect":"allow","Action":"*","Resource":"*"}}`, "The policy failed legacy parsing"},
		{"date that is none", statement(`"Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":"tomorrow-"}}`), "The policy failed legacy parsing"},
		{"half an ARN", resource("arn:aws:s3::example"), "The policy failed legacy parsing"},
		{"ARN without a service", resource("arn:aws:::x:y"), "The policy failed legacy parsing"},
		{"same Sid twice", `{"Version":"2012-10-17","Statement":[{"Sid":"A","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"A","Effect":"Deny","Action":"*","Resource":"*"}]}`, "Statement IDs (SID) in a single policy must be unique."},
		{"no action", statement(`"Resource":"*"`), "Policy statement must contain actions."},
		{"empty list of actions", statement(`"Action":[],"Resource":"*"`), "Policy statement must contain actions."},
		{"no resource", statement(`"Action":"*"`), "Policy statement must contain resources."},
		{"empty list of resources", statement(`"Action":"*","Resource":[]`), "Policy statement must contain resources."},
		{"action without vendor", action("PutImage"), "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."},
		{"action with two colons", action("ecr:Put:Image"), "Actions/Condition can contain only one colon."},
		{"vendor with a blank", action("e cr:PutImage"), "Vendor e cr is not valid"},
		{"resource without colon", resource("team/app"), `Resource team/app must be in ARN format or "*".`},
		{"partition that is none", resource("arn:moon:ecr:us-east-1"), `Partition "moon" is not valid for resource "arn:moon:ecr:us-east-1:*:*".`},
		{"partition alone", resource("arn:aws"), "Resource vendor must be fully qualified and cannot contain regexes."},
		{"IAM in a region", resource("arn:aws:iam:us-east-1:123456789012:role/r"), "IAM resource arn:aws:iam:us-east-1:123456789012:role/r cannot contain region information."},
		{"bucket in a region", resource("arn:aws:s3:us-east-1::b"), "Resource arn:aws:s3:us-east-1::b can not contain region information."},
		{"principal", statement(`"Action":"*","Resource":"*","Principal":"*"`), "Policy document should not specify a principal."},
		{"right", statement(`"Action":["ecr:*","*"],"Resource":["*","arn:aws:ecr:*:*:repository/${aws:PrincipalTag/x}/*","arn:aws:iam::123456789012:role/r","arn:aws:s3:::b"]`), ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := ""
			d, err := Parse(tc.text)
			if err == nil {
				err = d.ValidateManaged()
			}
			if err != nil {
				got = Message(err)
			}
			if got != tc.want {
				t.Errorf("%q (%v), want %q", got, err, tc.want)
			}
		})
	}
}
