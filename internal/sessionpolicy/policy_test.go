package sessionpolicy

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "renew the golden files")

const (
	account    = "123456789012"
	controller = "arn:aws:iam::123456789012:role/imagecache-controller"
	pullRole   = "arn:aws:iam::123456789012:role/imagecache-r1-eu-central-1-pull"
)

func repository() string {
	return RepositoryARN("aws", "eu-central-1", account, RepositoryName("r1", "p1"))
}

func access(change func(*RepositoryAccess)) RepositoryAccess {
	a := RepositoryAccess{
		Partition: "aws", AccountID: account, ControllerARN: controller, ProjectID: "p1", PullRoleARN: pullRole,
		Readers: []string{"arn:aws:iam::123456789012:role/scanner", "arn:aws:iam::123456789012:role/auditor"},
	}
	if change != nil {
		change(&a)
	}
	return a
}

func TestPolicies(t *testing.T) {
	deadline := time.Date(2026, 3, 4, 5, 6, 7, 890, time.FixedZone("", 3600))
	for name, policy := range map[string]string{
		"pull-session":          Pull(repository(), deadline),
		"push-session":          Push(repository(), deadline),
		"nothing-session":       Nothing(),
		"pull-role":             PullRole("aws", "eu-central-1", account, "r1"),
		"push-role":             PushRole("aws", "eu-central-1", account, "r1"),
		"trust":                 Trust(controller, account, "aws"),
		"repository":            Repository(access(nil)),
		"repository-no-readers": Repository(access(func(a *RepositoryAccess) { a.Readers = nil })),
		"repository-disabled":   Repository(access(func(a *RepositoryAccess) { a.PullRoleARN = "" })),
		"repository-china":      Repository(access(func(a *RepositoryAccess) { a.Partition = "aws-cn" })),
	} {
		t.Run(name, func(t *testing.T) {
			var pretty bytes.Buffer
			if err := json.Indent(&pretty, []byte(policy), "", "  "); err != nil {
				t.Fatal(err)
			}
			pretty.WriteByte('\n')
			file := filepath.Join("testdata", name+".json")
			if *update {
				if err := os.WriteFile(file, pretty.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if pretty.String() != string(want) {
				t.Errorf("policy is\n%s\nwant\n%s", pretty.String(), want)
			}
		})
	}
}

func TestLargestPoliciesFit(t *testing.T) {
	longest := strings.Repeat("a", 110)
	arn := RepositoryARN("aws-us-gov", "us-gov-northeast-1", account, RepositoryName(longest, longest))
	if n := len(Pull(arn, time.Now())); n > 2048 {
		t.Errorf("the pull session policy has %d characters, more than AssumeRole's 2,048", n)
	}
	if n := len(Push(arn, time.Now())); n > 2048 {
		t.Errorf("the push session policy has %d characters, more than AssumeRole's 2,048", n)
	}
	if n := len(PullRole("aws-us-gov", "us-gov-northeast-1", account, longest)); n > 10240 {
		t.Errorf("the role's policy has %d characters, more than IAM's 10,240", n)
	}
	readers := make([]string, 20)
	for n := range readers {
		readers[n] = "arn:aws:iam::123456789012:role/" + strings.Repeat("r", 256-31)
	}
	if n := len(Repository(access(func(a *RepositoryAccess) { a.Readers = readers }))); n > 10240 {
		t.Errorf("the repository policy has %d characters, more than ECR's 10,240", n)
	}
}

func TestRepositoryPolicyOnlyDenies(t *testing.T) {
	var policy document
	if err := json.Unmarshal([]byte(Repository(access(nil))), &policy); err != nil {
		t.Fatal(err)
	}
	for _, statement := range policy.Statement {
		if statement.Effect != "Deny" || len(statement.Condition) == 0 {
			t.Errorf("statement %s is %s with conditions %v; want a Deny with conditions", statement.Sid, statement.Effect, statement.Condition)
		}
	}
}

func TestRepositoryPolicyLeavesReadersInOrder(t *testing.T) {
	readers := []string{"arn:aws:iam::123456789012:role/b", "arn:aws:iam::123456789012:role/a"}
	one := Repository(access(func(a *RepositoryAccess) { a.Readers = readers }))
	other := Repository(access(func(a *RepositoryAccess) { a.Readers = []string{readers[1], readers[0]} }))
	if one != other {
		t.Error("the order of readers changes the policy")
	}
	if readers[0] != "arn:aws:iam::123456789012:role/b" {
		t.Error("the caller's list was changed")
	}
}

func TestRoleNames(t *testing.T) {
	for _, test := range []struct{ runner, region, want string }{
		{"r1", "eu-central-1", "imagecache-r1-eu-central-1-pull"},
		{"0190f1a2-7b3c-7d4e-8f5a-6b7c8d9e0f1a", "eu-central-1", "imagecache-0190f1a2-7b3c-7d4e-8f5a-6b7c8d9e0f1a-eu-be5df2f1-pull"},
	} {
		if got := RoleName(test.runner, test.region, PurposePull); got != test.want {
			t.Errorf("RoleName(%q, %q) = %q, want %q", test.runner, test.region, got, test.want)
		}
	}
	long := strings.Repeat("x", 110)
	one, other := RoleName(long, "eu-central-1", PurposePush), RoleName(long, "eu-west-1", PurposePush)
	if len(one) != 64 || !strings.HasSuffix(one, "-push") || one == other {
		t.Errorf("long names %q and %q: want 64 characters, the purpose at the end, and each its own", one, other)
	}
}

func TestEqual(t *testing.T) {
	for name, test := range map[string]struct {
		a, b string
		want bool
	}{
		"the same":                 {`{"a":1}`, `{"a":1}`, true},
		"other spaces":             {`{"a": 1}`, "{\n\"a\":1}", true},
		"one or a list of one":     {`{"Action":["x"]}`, `{"Action":"x"}`, true},
		"another order of strings": {`{"Action":["x","y"]}`, `{"Action":["y","x"]}`, true},
		"another value":            {`{"Action":["x"]}`, `{"Action":["y"]}`, false},
		"another statement order":  {`[{"a":1},{"b":2}]`, `[{"b":2},{"a":1}]`, false},
		"no JSON":                  {``, ``, false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Equal(test.a, test.b); got != test.want {
				t.Errorf("Equal(%s, %s) = %v, want %v", test.a, test.b, got, test.want)
			}
		})
	}
}
