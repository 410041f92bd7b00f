package wire

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imagecache.dev/test/awsemulator/internal/apierror"
)

type queryInput struct {
	Name    string
	Count   int  `json:",string"`
	Yes     bool `json:",string"`
	Keys    []string
	Tags    []struct{ Key, Value string }
	Nested  struct{ Inner string }
	Pointer *string
}

// https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
func TestDecodeQueryReadsListsAndStructures(t *testing.T) {
	form, err := url.ParseQuery("Action=X&Version=1&Name=n&Count=12&Yes=true&Keys.member.2=b&Keys.member.1=a&Keys.member.10=c" +
		"&Tags.member.1.Key=k&Tags.member.1.Value=v&Nested.Inner=i&Pointer=")
	if err != nil {
		t.Fatal(err)
	}
	var got queryInput
	if err := DecodeQuery(form, &got); err != nil {
		t.Fatal(err)
	}
	want := queryInput{Name: "n", Count: 12, Yes: true, Keys: []string{"a", "b", "c"}, Tags: []struct{ Key, Value string }{{"k", "v"}}}
	want.Nested.Inner = "i"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeRefusesWhatItDoesNotKnow(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"unknown parameter of a form":   {DecodeQuery(url.Values{"Colour": {"red"}}, &queryInput{}), "NotEmulatedException"},
		"unknown member of JSON":        {DecodeJSON([]byte(`{"Colour":"red"}`), &queryInput{}), "NotEmulatedException"},
		"a value and a structure":       {DecodeQuery(url.Values{"Nested": {"x"}, "Nested.Inner": {"y"}}, &queryInput{}), "MalformedInput"},
		"text for a number":             {DecodeQuery(url.Values{"Count": {"many"}}, &queryInput{}), "SerializationException"},
		"a list for a text":             {DecodeJSON([]byte(`{"Name":[]}`), &queryInput{}), "SerializationException"},
		"broken JSON":                   {DecodeJSON([]byte(`{`), &queryInput{}), "SerializationException"},
		"nothing at all is empty input": {DecodeJSON(nil, &queryInput{}), ""},
	} {
		got := ""
		if tc.err != nil {
			got = apierror.As(tc.err).Code
		}
		if got != tc.want {
			t.Errorf("%s: %v, want %q", name, tc.err, tc.want)
		}
	}
}

func FuzzDecodeQuery(f *testing.F) {
	f.Add("Name=n&Keys.member.1=a&Tags.member.1.Key=k")
	f.Add("Keys=&Keys.member=x&.=1&a.b.c.d.e.f.g.h.i.j.k.l.m=1")
	f.Fuzz(func(t *testing.T, text string) {
		form, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		var a, b queryInput
		errA, errB := DecodeQuery(form, &a), DecodeQuery(form, &b)
		if (errA == nil) != (errB == nil) || (errA == nil && !cmp.Equal(a, b)) {
			t.Errorf("the same form read twice: %v and %v", errA, errB)
		}
	})
}
