package sessionpolicy

import (
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"
)

// Configuring tells who may change a repository's settings, as far as its policy decides.
type Configuring int

// Who may change a repository's settings. The policy only denies: an identity's own policies must allow it too.
const (
	// ByUnknown: the policy denies some, in a way that the controller does not write.
	ByUnknown Configuring = iota
	// ByAnybody: the policy keeps nobody out.
	ByAnybody
	// ByListed: the policy keeps everybody out who is not listed.
	ByListed
)

// settingAction is the action that decides: who may do it may give itself the others.
const settingAction = "ecr:SetRepositoryPolicy"

// Configurators returns who may set a repository's policy, and with ByListed the ARNs of the principals, the account's
// root user among them.
func Configurators(policy string) ([]string, Configuring) {
	if policy == "" {
		return nil, ByAnybody
	}
	statements, ok := statementsOf(policy)
	if !ok {
		return nil, ByUnknown
	}
	var listed []string
	by := ByAnybody
	for _, statement := range statements {
		if statement["Effect"] != "Deny" || !concernsSettings(statement) {
			continue
		}
		arns, plain := exceptions(statement)
		switch {
		case !plain:
			return nil, ByUnknown
		case by == ByAnybody:
			listed, by = arns, ByListed
		default: // each denial counts
			listed = slices.DeleteFunc(listed, func(arn string) bool { return !slices.Contains(arns, arn) })
		}
	}
	return listed, by
}

// statementsOf returns the statements of a policy, which may have a list of them or a single one.
func statementsOf(policy string) ([]map[string]any, bool) {
	var parsed struct{ Statement json.RawMessage }
	if json.Unmarshal([]byte(policy), &parsed) != nil {
		return nil, false
	}
	var list []map[string]any
	if json.Unmarshal(parsed.Statement, &list) == nil {
		return list, true
	}
	var single map[string]any
	return []map[string]any{single}, json.Unmarshal(parsed.Statement, &single) == nil
}

// concernsSettings reports whether a statement may concern settingAction. IAM's names of actions have wildcards and
// no case.
func concernsSettings(statement map[string]any) bool {
	if _, ok := statement["NotAction"]; ok {
		return true
	}
	return slices.ContainsFunc(stringsOf(statement["Action"]), func(pattern string) bool {
		matches, err := path.Match(strings.ToLower(pattern), strings.ToLower(settingAction))
		return matches || err != nil
	})
}

// exceptions returns the ARNs of the principals that a denial leaves out. It returns false if the denial depends on
// anything else.
func exceptions(denial map[string]any) (arns []string, plain bool) {
	condition, conditional := denial["Condition"]
	rest := maps.Clone(denial)
	maps.DeleteFunc(rest, func(key string, _ any) bool {
		return slices.Contains([]string{"Sid", "Effect", "Principal", "Action", "Condition"}, key)
	})
	principal, _ := denial["Principal"].(map[string]any)
	named := stringsOf(principal["AWS"])
	everybody := denial["Principal"] == "*" || len(principal) == 1 && slices.Equal(named, []string{"*"})
	if len(rest) > 0 || !everybody {
		return nil, false
	}
	if !conditional {
		return nil, true
	}
	operators, _ := condition.(map[string]any)
	keys, _ := operators["ArnNotEquals"].(map[string]any)
	arns = stringsOf(keys["aws:PrincipalArn"])
	return arns, len(operators) == 1 && len(keys) == 1 && len(arns) > 0
}

// stringsOf returns the strings of a list, or of a single one, which IAM treats alike.
func stringsOf(value any) []string {
	switch value := value.(type) {
	case string:
		return []string{value}
	case []any:
		var list []string
		for _, item := range value {
			if text, ok := item.(string); ok {
				list = append(list, text)
			}
		}
		return list
	}
	return nil
}
