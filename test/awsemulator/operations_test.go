package awsemulator

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	// operationRow is a row of docs/emulator.md's table: a service, and what the emulator has of it.
	operationRow = regexp.MustCompile(`(?m)^\| ([A-Z][A-Za-z ]+) \| (.*) \|$`)
	// operationName is the form of an operation's name in it.
	operationName = regexp.MustCompile(`\b[A-Z][a-z]+[A-Z][A-Za-z]+\b|\bSign\b`)
)

// The documentation lists the operations of each service, neither more nor less.
func TestEachOperationIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/emulator.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n## What it does\n")
	table, _, _ = strings.Cut(table, "\n\n**")
	names := map[string]string{
		"ECR": "ecr", "KMS": "kms", "IAM": "iam", "STS": "sts", "CloudFormation": "cloudformation", "Resource Groups Tagging": "tagging",
	}
	s, err := Start(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	missing := maps.Clone(s.services)
	for _, row := range operationRow.FindAllStringSubmatch(table, -1) {
		name, ok := names[row[1]]
		if !ok {
			continue // the head, and the registry, which has no operations
		}
		delete(missing, name)
		documented := operationName.FindAllString(row[2], -1)
		slices.Sort(documented)
		if diff := cmp.Diff(slices.Sorted(maps.Keys(s.services[name].operations)), documented); diff != "" {
			t.Errorf("%s (-emulated +documented):\n%s", row[1], diff)
		}
	}
	if len(missing) > 0 {
		t.Errorf("not documented: %v", slices.Sorted(maps.Keys(missing)))
	}
}
