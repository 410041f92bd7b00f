package ecr

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// LifecyclePolicy returns the policy with one rule that makes images expire this many days after their push:
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html
func LifecyclePolicy(days int32) string {
	return fmt.Sprintf(
		`{"rules":[{"rulePriority":1,"description":"imagecache: images expire %d days after they were pushed",`+
			`"selection":{"tagStatus":"any","countType":"sinceImagePushed","countUnit":"days","countNumber":%d},`+
			`"action":{"type":"expire"}}]}`,
		days, days,
	)
}

// SameLifecyclePolicy reports whether two lifecycle policies are equal as JSON, without the descriptions of their
// rules.
func SameLifecyclePolicy(a, b string) bool {
	left, leftOK := rules(a)
	right, rightOK := rules(b)
	return leftOK && rightOK && reflect.DeepEqual(left, right)
}

func rules(policy string) ([]map[string]any, bool) {
	var parsed struct {
		Rules []map[string]any `json:"rules"`
	}
	if json.Unmarshal([]byte(policy), &parsed) != nil {
		return nil, false
	}
	for _, rule := range parsed.Rules {
		delete(rule, "description")
	}
	return parsed.Rules, true
}
