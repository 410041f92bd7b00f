package aws

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"imagecache.dev/internal/sessionpolicy"
)

// partitions are AWS' partitions: https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html
var partitions = []string{"aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc"}

// principal is a service principal, which is the same in every partition for these services:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-services
var principal = regexp.MustCompile(`\b(pods\.eks|inspector2)\.amazonaws\.com\b`)

// example is a registry in the help of a command.
var example = regexp.MustCompile(`\b123456789012\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com/`)

// foreign finds what a text has of the partition aws.
var foreign = regexp.MustCompile(`arn:aws:|amazonaws\.com|\.aws\.dev|api\.aws`)

func TestPoliciesAreOfTheirPartition(t *testing.T) {
	for _, partition := range partitions {
		const region, account, runner = "some-region-1", "123456789012", "r"
		controller := sessionpolicy.RoleARN(partition, account, "imagecache-controller")
		repository := sessionpolicy.RepositoryARN(partition, region, account, sessionpolicy.RepositoryName(runner, "p"))
		for name, text := range map[string]string{
			"controller-policy.json": configured(t, "controller-policy.json", "PARTITION", partition),
			"controller.yaml":        configured(t, "controller.yaml", "${AWS::Partition}", partition),
			"runner-stack.yaml":      configured(t, "runner-stack.yaml", "${AWS::Partition}", partition),
			"pull role":              sessionpolicy.PullRole(partition, region, account, runner),
			"push role":              sessionpolicy.PushRole(partition, region, account, runner),
			"trust":                  sessionpolicy.Trust(controller, account, partition),
			"pull session":           sessionpolicy.Pull(repository, time.Now()),
			"push session":           sessionpolicy.Push(repository, time.Now()),
			"repository": sessionpolicy.Repository(sessionpolicy.RepositoryAccess{
				Partition: partition, AccountID: account, ControllerARN: controller, ProjectID: "p",
				PullRoleARN: sessionpolicy.RoleARN(partition, account, "pull"),
			}),
		} {
			if found := foreign.FindString(principal.ReplaceAllString(text, "")); found != "" {
				t.Errorf("%s in %s has %q", name, partition, found)
			}
			if !strings.Contains(text, "arn:"+partition+":") {
				t.Errorf("%s in %s has no ARN of it", name, partition)
			}
		}
	}
}

// configured is a file of config/aws, for a partition.
func configured(t *testing.T, file, placeholder, partition string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "config", "aws", file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(content), placeholder, partition)
}

// TestCodeNamesNoPartition reads the strings of all code that ships. The SDK knows the names of hosts.
func TestCodeNamesNoPartition(t *testing.T) {
	files := 0
	for _, folder := range []string{"api", "cmd/imagecache", "cmd/manager", "controllers", "internal"} {
		err := filepath.WalkDir(filepath.Join("..", "..", folder), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			files++
			parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, 0) // without comments
			if err != nil {
				return err
			}
			ast.Inspect(parsed, func(node ast.Node) bool {
				literal, ok := node.(*ast.BasicLit)
				if !ok || literal.Kind != token.STRING {
					return true
				}
				if text, err := strconv.Unquote(literal.Value); err == nil && foreign.MatchString(principal.ReplaceAllString(example.ReplaceAllString(text, ""), "")) {
					t.Errorf("%s has %s", path, literal.Value)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 100 {
		t.Errorf("%d files", files)
	}
}
