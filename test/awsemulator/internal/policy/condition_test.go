package policy

import "testing"

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
func TestConditionOperators(t *testing.T) {
	ctx := Context{}
	ctx.Set("aws:PrincipalTag/project", "p1")
	ctx.Set("aws:PrincipalTag/path", "a/b")
	ctx.Set("aws:PrincipalArn", roleARN)
	ctx.Set("aws:CurrentTime", "2026-03-01T12:00:00Z")
	ctx.Set("aws:EpochTime", "1772366400")
	ctx.Set("aws:SecureTransport", "false")
	ctx.Set("aws:SourceIp", "10.1.2.3")
	ctx.Set("aws:TagKeys", "owner", "project")
	ctx.Set("ecr:ResourceTag/project", "p1")
	ctx.Set("x:Number", "10")
	ctx.Set("x:Bytes", "aGVsbG8=")
	ctx.Set("x:Empty")

	for _, tc := range []struct {
		condition string
		want      bool
	}{
		{`"StringEquals":{"aws:PrincipalTag/project":"p1"}`, true},
		{`"StringEquals":{"aws:principaltag/PROJECT":"p1"}`, true},
		{`"StringEquals":{"aws:PrincipalTag/project":"P1"}`, false},
		{`"StringEquals":{"aws:PrincipalTag/project":"p*"}`, false},
		{`"StringEquals":{"aws:PrincipalTag/project":["p0","p1"]}`, true},
		{`"StringEquals":{"aws:PrincipalTag/none":"p1"}`, false},
		{`"StringEquals":{"ecr:ResourceTag/project":"${aws:PrincipalTag/project}"}`, true},
		{`"StringEquals":{"ecr:ResourceTag/project":"${aws:PrincipalTag/none}"}`, false},
		{`"StringNotEquals":{"ecr:ResourceTag/project":"${aws:PrincipalTag/none}"}`, true},
		{`"StringEqualsIfExists":{"aws:PrincipalTag/none":"p1"}`, true},
		{`"StringEqualsIfExists":{"aws:PrincipalTag/project":"p2"}`, false},
		{`"StringNotEquals":{"aws:PrincipalTag/project":"p1"}`, false},
		{`"StringNotEquals":{"aws:PrincipalTag/project":["p0","p1"]}`, false},
		{`"StringNotEquals":{"aws:PrincipalTag/project":["p0","p2"]}`, true},
		{`"StringNotEquals":{"aws:PrincipalTag/none":"p1"}`, true},
		{`"StringEqualsIgnoreCase":{"aws:PrincipalTag/project":"P1"}`, true},
		{`"StringNotEqualsIgnoreCase":{"aws:PrincipalTag/project":"P1"}`, false},
		{`"StringLike":{"aws:PrincipalTag/project":"p?"}`, true},
		{`"StringLike":{"aws:PrincipalTag/path":"a*"}`, true},
		{`"StringLike":{"aws:PrincipalTag/none":"*"}`, false},
		{`"StringNotLike":{"aws:PrincipalTag/project":"p*"}`, false},
		{`"StringNotLike":{"aws:PrincipalTag/none":"p*"}`, true},

		{`"NumericEquals":{"x:Number":10}`, true},
		{`"NumericEquals":{"x:Number":"10.0"}`, true},
		{`"NumericNotEquals":{"x:Number":"10"}`, false},
		{`"NumericNotEquals":{"x:None":"10"}`, true},
		{`"NumericLessThan":{"x:Number":"10"}`, false},
		{`"NumericLessThanEquals":{"x:Number":"10"}`, true},
		{`"NumericGreaterThan":{"x:Number":"9"}`, true},
		{`"NumericGreaterThanEquals":{"x:Number":"11"}`, false},
		{`"NumericLessThanIfExists":{"x:None":"10"}`, true},

		{`"DateLessThan":{"aws:CurrentTime":"2026-03-01T12:00:01Z"}`, true},
		{`"DateLessThan":{"aws:CurrentTime":"2026-03-01T12:00:00Z"}`, false},
		{`"DateLessThanEquals":{"aws:CurrentTime":"2026-03-01T12:00:00Z"}`, true},
		{`"DateGreaterThan":{"aws:CurrentTime":"2026-02-28"}`, true},
		{`"DateGreaterThanEquals":{"aws:CurrentTime":"1772366400"}`, true},
		{`"DateEquals":{"aws:EpochTime":"2026-03-01T12:00:00Z"}`, true},
		{`"DateNotEquals":{"aws:CurrentTime":"2026-03-01T13:00:00+01:00"}`, false},
		{`"DateLessThan":{"aws:TokenIssueTime":"2026-03-01T12:00:00Z"}`, false},

		{`"Bool":{"aws:SecureTransport":"false"}`, true},
		{`"Bool":{"aws:SecureTransport":false}`, true},
		{`"Bool":{"aws:SecureTransport":"true"}`, false},
		{`"BoolIfExists":{"aws:MultiFactorAuthPresent":"true"}`, true},
		{`"Bool":{"aws:MultiFactorAuthPresent":"true"}`, false},

		{`"BinaryEquals":{"x:Bytes":"aGVsbG8="}`, true},
		{`"BinaryEquals":{"x:Bytes":"aGVsbG8h"}`, false},

		{`"IpAddress":{"aws:SourceIp":"10.1.0.0/16"}`, true},
		{`"IpAddress":{"aws:SourceIp":["192.0.2.0/24","10.1.2.3"]}`, true},
		{`"IpAddress":{"aws:SourceIp":"2001:db8::/32"}`, false},
		{`"NotIpAddress":{"aws:SourceIp":"10.1.0.0/16"}`, false},
		{`"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}`, true},

		{`"ArnEquals":{"aws:PrincipalArn":"` + roleARN + `"}`, true},
		{`"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/build*"}`, true},
		{`"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::123456789012:role/*"}`, true},
		{`"ArnLike":{"aws:PrincipalArn":"arn:aws:iam:*role/builder"}`, false},
		{`"ArnNotEquals":{"aws:PrincipalArn":"` + roleARN + `"}`, false},
		{`"ArnNotEquals":{"aws:PrincipalArn":["arn:aws:iam::123456789012:role/a","` + roleARN + `"]}`, false},
		{`"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::123456789012:role/a*"}`, true},
		{`"ArnNotLike":{"aws:SourceArn":"arn:aws:iam::123456789012:role/a*"}`, true},
		{`"ArnLikeIfExists":{"aws:SourceArn":"arn:aws:iam::123456789012:role/a*"}`, true},

		{`"Null":{"aws:PrincipalTag/none":"true"}`, true},
		{`"Null":{"aws:PrincipalTag/project":"true"}`, false},
		{`"Null":{"aws:PrincipalTag/project":"false"}`, true},
		{`"Null":{"x:Empty":"true"}`, true},

		{`"ForAllValues:StringEquals":{"aws:TagKeys":["owner","project","cost"]}`, true},
		{`"ForAllValues:StringEquals":{"aws:TagKeys":["owner"]}`, false},
		{`"ForAllValues:StringEquals":{"aws:None":["owner"]}`, true},
		{`"ForAllValues:StringLike":{"aws:TagKeys":["o*","p*"]}`, true},
		{`"ForAllValues:StringNotEquals":{"aws:TagKeys":["cost"]}`, true},
		{`"ForAllValues:StringNotEquals":{"aws:TagKeys":["owner"]}`, false},
		{`"ForAnyValue:StringEquals":{"aws:TagKeys":["owner"]}`, true},
		{`"ForAnyValue:StringEquals":{"aws:TagKeys":["cost"]}`, false},
		{`"ForAnyValue:StringEquals":{"aws:None":["owner"]}`, false},
		{`"ForAnyValue:StringNotEquals":{"aws:TagKeys":["owner"]}`, true},
		{`"ForAnyValue:StringNotEquals":{"aws:TagKeys":["owner","project"]}`, false},
		{`"ForAnyValue:StringEqualsIfExists":{"aws:None":["owner"]}`, true},

		// Two operators, and two keys of one operator, must all hold.
		{`"StringEquals":{"aws:PrincipalTag/project":"p1"},"Bool":{"aws:SecureTransport":"true"}`, false},
		{`"StringEquals":{"aws:PrincipalTag/project":"p1","aws:PrincipalTag/path":"a/b"}`, true},
		{`"StringEquals":{"aws:PrincipalTag/project":"p1","aws:PrincipalTag/path":"x"}`, false},
	} {
		t.Run(tc.condition, func(t *testing.T) {
			d := Evaluate(Request{Caller: builder, Action: "ecr:PutImage", Resource: repoARN, Context: ctx},
				Policies{Identity: docs(t, statement(`"Action":"*","Resource":"*","Condition":{`+tc.condition+`}`))})
			if d.Allowed != tc.want {
				t.Errorf("holds %v, want %v", d.Allowed, tc.want)
			}
		})
	}
}
