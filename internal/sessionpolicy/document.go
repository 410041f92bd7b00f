// Package sessionpolicy writes the IAM policies of the project: of roles, sessions and repositories. It is pure: the
// same input gives the same bytes, and it knows neither Kubernetes nor the AWS SDK.
package sessionpolicy

import (
	"encoding/json"
	"reflect"
	"time"
)

// document is an IAM policy. Its fields are in the usual order of policies.
type document struct {
	Version   string      `json:"Version"`
	Statement []statement `json:"Statement"`
}

type statement struct {
	Sid       string     `json:"Sid,omitempty"`
	Effect    string     `json:"Effect"`
	Principal any        `json:"Principal,omitempty"`
	Action    []string   `json:"Action"`
	Resource  any        `json:"Resource,omitempty"`
	Condition conditions `json:"Condition,omitempty"`
}

// conditions are by operator, then by key. Maps are written with sorted keys.
type conditions map[string]map[string]any

func allow(sid string, actions []string, resource any, when conditions) statement {
	return statement{Sid: sid, Effect: "Allow", Action: actions, Resource: resource, Condition: when}
}

func deny(sid string, actions []string, when conditions) statement {
	return statement{Sid: sid, Effect: "Deny", Principal: "*", Action: actions, Condition: when}
}

func render(statements ...statement) string {
	content, err := json.Marshal(document{Version: "2012-10-17", Statement: statements})
	if err != nil {
		panic("sessionpolicy: can't encode a document of strings: " + err.Error())
	}
	return string(content)
}

// currentTime formats a time as IAM writes it.
func currentTime(t time.Time) string { return t.UTC().Truncate(time.Second).Format(time.RFC3339) }

// Equal reports whether two policies are equal: as JSON, and with a list of one item equal to the item, because AWS
// changes one into the other. Text that is not valid JSON equals nothing.
func Equal(a, b string) bool {
	var left, right any
	if json.Unmarshal([]byte(a), &left) != nil || json.Unmarshal([]byte(b), &right) != nil {
		return false
	}
	return reflect.DeepEqual(plain(left), plain(right))
}

// plain replaces lists of one string with the string, and sorts longer lists of strings, whose order has no meaning
// in a policy.
func plain(value any) any {
	switch value := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(value))
		for key, item := range value {
			out[key] = plain(item)
		}
		return out
	case []any:
		if len(value) == 1 {
			if text, ok := value[0].(string); ok {
				return text
			}
		}
		out := make([]any, len(value))
		for n, item := range value {
			out[n] = plain(item)
		}
		sortStrings(out)
		return out
	}
	return value
}
