package policy

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// operator is one condition operator without its set prefix and IfExists.
type operator struct {
	match     func(want pattern, have string) bool
	check     func(want string) error // refuses a policy value that can never be compared
	negated   bool
	wildcards bool
	null      bool
}

// operators by lower-case name.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
var operators = map[string]operator{
	"stringequals":              {match: sameText},
	"stringnotequals":           {match: sameText, negated: true},
	"stringequalsignorecase":    {match: sameTextFold},
	"stringnotequalsignorecase": {match: sameTextFold, negated: true},
	"stringlike":                {match: like, wildcards: true},
	"stringnotlike":             {match: like, wildcards: true, negated: true},

	"numericequals":            numeric(func(have, want float64) bool { return have == want }, false),
	"numericnotequals":         numeric(func(have, want float64) bool { return have == want }, true),
	"numericlessthan":          numeric(func(have, want float64) bool { return have < want }, false),
	"numericlessthanequals":    numeric(func(have, want float64) bool { return have <= want }, false),
	"numericgreaterthan":       numeric(func(have, want float64) bool { return have > want }, false),
	"numericgreaterthanequals": numeric(func(have, want float64) bool { return have >= want }, false),

	"dateequals":            date(func(have, want time.Time) bool { return have.Equal(want) }, false),
	"datenotequals":         date(func(have, want time.Time) bool { return have.Equal(want) }, true),
	"datelessthan":          date(func(have, want time.Time) bool { return have.Before(want) }, false),
	"datelessthanequals":    date(func(have, want time.Time) bool { return !have.After(want) }, false),
	"dategreaterthan":       date(func(have, want time.Time) bool { return have.After(want) }, false),
	"dategreaterthanequals": date(func(have, want time.Time) bool { return !have.Before(want) }, false),

	"bool": {match: sameTextFold, check: func(v string) error {
		if !strings.EqualFold(v, "true") && !strings.EqualFold(v, "false") {
			return fmt.Errorf("%q is not a boolean", v)
		}
		return nil
	}},
	"binaryequals": {match: sameBytes},
	"null":         {null: true},

	"ipaddress":    {match: inNetwork, check: checkNetwork},
	"notipaddress": {match: inNetwork, check: checkNetwork, negated: true},

	"arnequals":    {match: sameARN, wildcards: true},
	"arnlike":      {match: sameARN, wildcards: true},
	"arnnotequals": {match: sameARN, wildcards: true, negated: true},
	"arnnotlike":   {match: sameARN, wildcards: true, negated: true},
}

func sameText(want pattern, have string) bool { return want.plain() == have }

func sameTextFold(want pattern, have string) bool { return strings.EqualFold(want.plain(), have) }

func like(want pattern, have string) bool { return want.match(have, false) }

func sameARN(want pattern, have string) bool {
	return strings.HasPrefix(have, "arn:") && want.matchARN(have)
}

func sameBytes(want pattern, have string) bool {
	a, errA := base64.StdEncoding.DecodeString(want.plain())
	b, errB := base64.StdEncoding.DecodeString(have)
	return errA == nil && errB == nil && string(a) == string(b)
}

func numeric(compare func(have, want float64) bool, negated bool) operator {
	return operator{
		negated: negated,
		match: func(want pattern, have string) bool {
			w, errW := strconv.ParseFloat(want.plain(), 64)
			h, errH := strconv.ParseFloat(have, 64)
			return errW == nil && errH == nil && compare(h, w)
		},
		check: func(v string) error {
			if _, err := strconv.ParseFloat(v, 64); err != nil {
				return fmt.Errorf("%q is not a number", v)
			}
			return nil
		},
	}
}

func date(compare func(have, want time.Time) bool, negated bool) operator {
	return operator{
		negated: negated,
		match: func(want pattern, have string) bool {
			w, okW := parseDate(want.plain())
			h, okH := parseDate(have)
			return okW && okH && compare(h, w)
		},
		check: func(v string) error {
			if _, ok := parseDate(v); !ok {
				return fmt.Errorf("%q is not a date", v)
			}
			return nil
		},
	}
}

// parseDate reads the forms of ISO 8601 that IAM takes, and seconds of the Unix epoch.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_Date
func parseDate(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02", "2006-01", "2006"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	if seconds, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(seconds, 0).UTC(), true
	}
	return time.Time{}, false
}

func checkNetwork(v string) error {
	if _, ok := parseNetwork(v); !ok {
		return fmt.Errorf("%q is not an IP address or range", v)
	}
	return nil
}

func parseNetwork(s string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), true
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	return netip.Prefix{}, false
}

func inNetwork(want pattern, have string) bool {
	network, ok := parseNetwork(want.plain())
	address, err := netip.ParseAddr(have)
	return ok && err == nil && network.Contains(address.Unmap())
}
