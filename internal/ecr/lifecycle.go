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

// ArchivesImages reports whether a lifecycle policy moves images to the archive, from where they can't be pulled.
func ArchivesImages(policy string) bool {
	parsed, _ := rules(policy)
	for _, rule := range parsed {
		if action, ok := rule["action"].(map[string]any); ok && action["type"] == "transition" {
			return true
		}
	}
	return false
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
