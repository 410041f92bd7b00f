package policy

import (
	"strings"
	"unicode/utf8"
)

// A pattern is a policy string cut into what is literal, what is a wildcard and what is a variable.
// Values that variables bring are always literal: a "*" in a tag's value is a star, not a wildcard.
type pattern []piece

type patterns []pattern

type pieceKind uint8

const (
	literal pieceKind = iota
	anyRun            // *
	anyOne            // ?
	variable
)

type piece struct {
	kind     pieceKind
	text     string // literal text, or the variable's key in lower case
	fallback *string
}

// compilePattern reads wildcards and, when variables says so, ${key}, ${key, 'default'} and the
// escapes ${*}, ${?}, ${$}.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
func compilePattern(text string, variables, wildcards bool) pattern {
	var out pattern
	var lit strings.Builder
	flush := func() {
		if lit.Len() > 0 {
			out = append(out, piece{kind: literal, text: lit.String()})
			lit.Reset()
		}
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case wildcards && c == '*':
			flush()
			out = append(out, piece{kind: anyRun})
		case wildcards && c == '?':
			flush()
			out = append(out, piece{kind: anyOne})
		case variables && c == '$' && i+1 < len(text) && text[i+1] == '{':
			end := strings.IndexByte(text[i:], '}')
			if end < 0 {
				lit.WriteByte(c)
				continue
			}
			inner := text[i+2 : i+end]
			i += end
			switch inner {
			case "*", "?", "$":
				lit.WriteString(inner)
				continue
			}
			flush()
			p := piece{kind: variable}
			key, rest, ok := strings.Cut(inner, ",")
			p.text = strings.ToLower(strings.TrimSpace(key))
			if ok {
				value := strings.Trim(strings.TrimSpace(rest), "'")
				p.fallback = &value
			}
			out = append(out, p)
		default:
			lit.WriteByte(c)
		}
	}
	flush()
	return out
}

// resolve puts the request's values in the variables' places. It says false when one has no value:
// such a pattern matches nothing. A key with several values can't stand in a variable either.
func (p pattern) resolve(c Context) (pattern, bool) {
	static := true
	for i := range p {
		if p[i].kind == variable {
			static = false
			break
		}
	}
	if static {
		return p, true
	}
	out := make(pattern, 0, len(p))
	for _, x := range p {
		if x.kind == variable {
			values := c[x.text]
			switch {
			case len(values) == 1:
				x = piece{kind: literal, text: values[0]}
			case len(values) == 0 && x.fallback != nil:
				x = piece{kind: literal, text: *x.fallback}
			default:
				return nil, false
			}
		}
		out = append(out, x)
	}
	return out, true
}

// match compares the whole of text. The pattern is resolved.
func (p pattern) match(text string, fold bool) bool {
	if fold {
		text = strings.ToLower(text)
	}
	// The classic two-pointer walk: remember the last run, and let it take one character more on a mismatch.
	pi, ti := 0, 0
	backPiece, backText := -1, 0
	for {
		if pi == len(p) {
			if ti == len(text) {
				return true
			}
		} else {
			switch x := p[pi]; x.kind {
			case anyRun:
				backPiece, backText = pi, ti
				pi++
				continue
			case anyOne:
				if ti < len(text) {
					ti += runeLen(text[ti:])
					pi++
					continue
				}
			case literal:
				want := x.text
				if fold {
					want = strings.ToLower(want)
				}
				if strings.HasPrefix(text[ti:], want) {
					ti += len(want)
					pi++
					continue
				}
			case variable:
				return false
			}
		}
		if backPiece < 0 || backText >= len(text) {
			return false
		}
		backText += runeLen(text[backText:])
		pi, ti = backPiece+1, backText
	}
}

// runeLen is how many bytes the first character of text has. What is no UTF-8 counts byte by byte.
func runeLen(text string) int {
	_, length := utf8.DecodeRuneInString(text)
	return length
}

// plain is the resolved pattern's text when it has no wildcard.
func (p pattern) plain() string {
	if len(p) == 1 && p[0].kind == literal {
		return p[0].text
	}
	var b strings.Builder
	for _, x := range p {
		switch x.kind {
		case anyRun:
			b.WriteByte('*')
		case anyOne:
			b.WriteByte('?')
		default:
			b.WriteString(x.text)
		}
	}
	return b.String()
}

// segments cuts a resolved pattern at its first n-1 colons, as an ARN is cut.
func (p pattern) segments(n int) []pattern {
	out := []pattern{nil}
	for _, x := range p {
		if x.kind != literal {
			out[len(out)-1] = append(out[len(out)-1], x)
			continue
		}
		text := x.text
		for len(out) < n {
			before, after, ok := strings.Cut(text, ":")
			if !ok {
				break
			}
			if before != "" {
				out[len(out)-1] = append(out[len(out)-1], piece{kind: literal, text: before})
			}
			out = append(out, nil)
			text = after
		}
		if text != "" {
			out[len(out)-1] = append(out[len(out)-1], piece{kind: literal, text: text})
		}
	}
	return out
}

// matchResource compares a Resource element with an ARN. A wildcard stays inside its part of the ARN, but for a star that ends a part:
// that one may reach over colons.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html#reference_policies_elements_resource_wildcards
func (p pattern) matchResource(text string) bool {
	failed := make([]bool, (len(p)+1)*(len(text)+1)) // tried in vain, by piece and offset
	var from func(pi, ti int) bool
	from = func(pi, ti int) bool {
		if pi == len(p) {
			return ti == len(text)
		}
		at := pi*(len(text)+1) + ti
		if failed[at] {
			return false
		}
		ok := false
		switch x := p[pi]; x.kind {
		case literal:
			ok = strings.HasPrefix(text[ti:], x.text) && from(pi+1, ti+len(x.text))
		case anyOne:
			ok = ti < len(text) && text[ti] != ':' && from(pi+1, ti+runeLen(text[ti:]))
		case anyRun:
			for end := ti; ; end += runeLen(text[end:]) {
				if ok = from(pi+1, end); ok || end == len(text) || (text[end] == ':' && !p.endsPart(pi)) {
					break
				}
			}
		case variable: // not resolved: matches nothing
		}
		failed[at] = !ok
		return ok
	}
	return from(0, 0)
}

// endsPart says whether a run of stars is the last of a part of an ARN, or of the pattern.
func (p pattern) endsPart(pi int) bool {
	for pi++; pi < len(p) && p[pi].kind == anyRun; {
		pi++
	}
	return pi == len(p) || (p[pi].kind == literal && strings.HasPrefix(p[pi].text, ":"))
}

// matchARN compares two ARNs as the Arn operators do, part by part: each of the six parts may have wildcards, and none but the last
// reaches over a colon.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_ARN
func (p pattern) matchARN(arn string) bool {
	if len(p) == 1 && p[0].kind == anyRun {
		return true
	}
	const parts = 6
	want, have := p.segments(parts), strings.SplitN(arn, ":", parts)
	if len(have) != len(want) {
		return false
	}
	for i := range want {
		if !want[i].match(have[i], false) {
			return false
		}
	}
	return true
}
