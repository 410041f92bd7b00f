package cloudformation

import "testing"

func FuzzParseTemplate(f *testing.F) {
	f.Add("Resources: {H: {Type: 'AWS::CloudFormation::WaitConditionHandle'}}\nOutputs: {V: {Value: !Sub '${AWS::Region}-${!x}'}}")
	f.Add("Conditions: {A: !Not [!Condition A]}\nResources: {R: {Type: 'AWS::IAM::Role', Condition: A, Properties: {RoleName: !GetAtt R.Arn}}}")
	f.Add("Resources: &a {H: *a}")
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := parseTemplate(text)
		if err != nil {
			return
		}
		q := &request{template: parsed, parameters: map[string]string{}}
		for name, p := range parsed.parameters {
			if p.standard != nil {
				q.parameters[name] = *p.standard
			}
		}
		s := New(Settings{Account: "123456789012", Region: "us-east-1"}).scope("i", "s", q)
		if q.order, err = s.active(); err != nil {
			return
		}
		for id := range parsed.resources {
			s.resources[id] = &resource{physicalID: id, attributes: map[string]string{"Arn": "a"}}
		}
		for name := range parsed.conditions {
			_, _ = s.named(name)
		}
		for _, r := range parsed.resources {
			_, _ = s.eval(r.properties)
		}
		_, _ = q.outputs(s)
		_ = q.checkCapabilities()
	})
}
