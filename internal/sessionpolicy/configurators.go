package sessionpolicy

import (
	"encoding/json"
	"slices"
)

// Configurators returns the ARNs of the principals that a repository policy lets configure the repository, the
// account's root user among them. It returns false if the policy does not keep everybody else from doing so.
func Configurators(policy string) (arns []string, restricted bool) {
	var parsed struct{ Statement []map[string]any }
	if json.Unmarshal([]byte(policy), &parsed) != nil {
		return nil, false
	}
	for _, statement := range parsed.Statement {
		if statement["Effect"] != "Deny" || !slices.Contains(stringsOf(statement["Action"]), "ecr:SetRepositoryPolicy") {
			continue
		}
		when, _ := statement["Condition"].(map[string]any)
		unless, _ := when["ArnNotEquals"].(map[string]any)
		return stringsOf(unless["aws:PrincipalArn"]), true
	}
	return nil, false
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
