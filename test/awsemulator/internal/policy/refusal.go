package policy

import (
	"errors"
	"fmt"
)

// Refusal is a reason for which AWS does not take a policy. Errors of this package that hold none are errors of the syntax.
type Refusal struct {
	Message string // AWS' words, a whole sentence
	Detail  string // which part of the policy
}

func (r *Refusal) Error() string {
	if r.Detail == "" {
		return r.Message
	}
	return r.Detail
}

func refuse(format string, args ...any) error { return &Refusal{Message: fmt.Sprintf(format, args...)} }

// legacy is the refusal of what the grammar lets pass and IAM's older parser does not.
func legacy(detail string) error {
	return &Refusal{Message: "The policy failed legacy parsing", Detail: detail}
}

// Message is what AWS says of a policy that was refused.
func Message(err error) string {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Message
	}
	return "Syntax errors in policy."
}
