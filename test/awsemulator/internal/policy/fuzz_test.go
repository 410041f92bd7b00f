package policy

import (
	"regexp"
	"strings"
	"testing"
)

func FuzzParse(f *testing.F) {
	for _, s := range []string{allowAll, denyAll, byPrincipal("Deny", `{"AWS":["1","2"]}`), statement(`"NotAction":["a:b"],"NotResource":"arn:aws:s3:::x","Condition":{"ForAllValues:StringLikeIfExists":{"a":["b*",1,true]}}`)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := Parse(text)
		if err != nil {
			if d != nil {
				t.Error("a document and an error")
			}
			return
		}
		_ = d.ValidateIdentity()
		_ = d.ValidateTrust()
		_ = d.ValidateResourceBased()
		again, err := Parse(text)
		if err != nil || len(again.Statements) != len(d.Statements) {
			t.Errorf("the same text read twice is not the same: %v", err)
		}
	})
}

// Whatever the policies say: a deny of everything denies, and one more deny never allows what was denied.
func FuzzEvaluateDenyWins(f *testing.F) {
	f.Add(allowAll, "ecr:PutImage", repoARN, "p1")
	f.Add(statement(`"Action":"ecr:*","Resource":"arn:aws:ecr:*:*:repository/${aws:PrincipalTag/project}"`), "ecr:PutImage", repoARN, "team/app")
	f.Fuzz(func(t *testing.T, text, action, resource, tag string) {
		d, err := Parse(text)
		if err != nil {
			return
		}
		ctx := Context{}
		ctx.Set("aws:PrincipalTag/project", tag)
		r := Request{Caller: builder, Action: action, Resource: resource, Context: ctx}
		no, err := Parse(denyAll)
		if err != nil {
			t.Fatal(err)
		}
		everything, err := Parse(allowAll)
		if err != nil {
			t.Fatal(err)
		}
		if resource != "*" && !strings.HasPrefix(resource, "arn:") {
			return
		}
		if got := Evaluate(r, Policies{Identity: []*Document{d, no}}); got.Allowed || !got.Explicit {
			t.Errorf("allowed in spite of a deny of everything: %+v", got)
		}
		plain := Evaluate(r, Policies{Identity: []*Document{d}})
		narrowed := Evaluate(r, Policies{Identity: []*Document{everything}, Session: []*Document{d}})
		if plain.Allowed != narrowed.Allowed {
			t.Errorf("as identity policy %v, as session policy under allow-all %v", plain, narrowed)
		}
	})
}

// The walk over a pattern agrees with a regular expression of the same meaning.
func FuzzPatternMatch(f *testing.F) {
	f.Add("a*b?c", "axxbyc")
	f.Add("**", "")
	f.Add("?", "ü")
	f.Add("0*??0", "0틑0")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 40 || len(text) > 200 || strings.ToValidUTF8(pattern, "") != pattern || strings.ToValidUTF8(text, "") != text {
			return
		}
		var b strings.Builder
		b.WriteString(`(?s)\A`)
		for _, r := range pattern {
			switch r {
			case '*':
				b.WriteString(".*")
			case '?':
				b.WriteString(".")
			default:
				b.WriteString(regexp.QuoteMeta(string(r)))
			}
		}
		b.WriteString(`\z`)
		want := regexp.MustCompile(b.String()).MatchString(text)
		if got := compilePattern(pattern, false, true).match(text, false); got != want {
			t.Errorf("pattern %q, text %q: %v, want %v", pattern, text, got, want)
		}
		// Where no colon is concerned, a resource matches as a text does.
		if !strings.Contains(text, ":") {
			if got := compilePattern(pattern, false, true).matchResource(text); got != want {
				t.Errorf("resource pattern %q, text %q: %v, want %v", pattern, text, got, want)
			}
		}
	})
}
