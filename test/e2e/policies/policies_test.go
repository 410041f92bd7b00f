// Package policies holds every policy that this project writes against an IAM evaluator that is not this project's.
package policies

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"imagecache.dev/internal/sessionpolicy"
)

const (
	account    = "123456789012"
	region     = "eu-central-1"
	controller = "arn:aws:iam::123456789012:role/imagecache-controller"
	pullRole   = "arn:aws:iam::123456789012:role/imagecache-r1-eu-central-1-pull"
	pushRole   = "arn:aws:iam::123456789012:role/imagecache-r1-eu-central-1-push"
	reader     = "arn:aws:iam::123456789012:role/scanner"
	somebody   = "arn:aws:iam::123456789012:role/somebody"
	root       = "arn:aws:iam::123456789012:root"
	anything   = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

type policy struct {
	Name   string          `json:"name"`
	Kind   string          `json:"kind"`
	Policy json.RawMessage `json:"policy"`
}

type request struct {
	Name     string          `json:"name"`
	Request  any             `json:"request"`
	Identity json.RawMessage `json:"identity"`
	Session  json.RawMessage `json:"session,omitempty"`
	Resource json.RawMessage `json:"resource,omitempty"`
}

type answers struct {
	Policies map[string][]string `json:"policies"`
	Requests map[string]string   `json:"requests"`
}

// ask runs the evaluator once for all questions.
func ask(t *testing.T, policies []policy, requests []request) answers {
	t.Helper()
	questions, err := json.Marshal(map[string]any{"policies": policies, "requests": requests})
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), filepath.Join("..", "..", "..", "hack", "iam-evaluator.sh"))
	var stderr bytes.Buffer
	command.Stdin, command.Stderr = bytes.NewReader(questions), &stderr
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var said answers
	if err := json.Unmarshal(output, &said); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return said
}

// kindOf is what a golden file's policy is attached to.
func kindOf(file string) string {
	switch {
	case strings.HasSuffix(file, "-session.json"):
		return "session"
	case strings.HasPrefix(file, "repository"):
		return "resource"
	case strings.HasPrefix(file, "trust"):
		return "trust"
	default:
		return "identity"
	}
}

func TestEveryPolicyIsValid(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "internal", "sessionpolicy", "testdata", "*.json"))
	if err != nil || len(files) < 10 {
		t.Fatalf("%d golden files: %v", len(files), err)
	}
	policies := []policy{{Name: "broken", Kind: "session", Policy: json.RawMessage(`{"Version":"2012-10-17","Statement":[{"Effect":"Maybe","Action":"ecr:PutImage","Resource":"*"}]}`)}}
	for _, file := range append(files, filepath.Join("..", "..", "..", "config", "aws", "controller-policy.json")) {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		content = bytes.ReplaceAll(content, []byte("PARTITION"), []byte("aws"))
		name := filepath.Base(file)
		policies = append(policies, policy{Name: name, Kind: kindOf(name), Policy: content})
	}
	for name, errors := range ask(t, policies, nil).Policies {
		if name == "broken" {
			if len(errors) == 0 {
				t.Error("the evaluator takes an effect that there is not")
			}
			continue
		}
		for _, err := range errors {
			t.Errorf("%s: %s", name, err)
		}
	}
}

func repository(project string) string {
	return sessionpolicy.RepositoryARN("aws", region, account, sessionpolicy.RepositoryName("r1", project))
}

// call is one request of a principal to a project's repository.
func call(principal, action, resource string, at time.Time, principalTag, resourceTag string) any {
	context := map[string]string{
		"aws:PrincipalArn": principal, "aws:CurrentTime": at.Format(time.RFC3339), "aws:PrincipalAccount": account,
	}
	if principalTag != "" {
		context["aws:PrincipalTag/"+sessionpolicy.ProjectTag] = principalTag
	}
	if resourceTag != "" {
		context["aws:ResourceTag/"+sessionpolicy.ProjectTag] = resourceTag
	}
	arn := principal
	if _, name, ok := strings.Cut(principal, ":role/"); ok {
		arn = fmt.Sprintf("arn:aws:sts::%s:assumed-role/%s/session", account, name)
	}
	return map[string]any{
		"principal": arn, "action": action, "contextVariables": context,
		"resource": map[string]string{"resource": resource, "accountId": account},
	}
}

// TestDecisions asks for what the policies are to allow and to deny.
func TestDecisions(t *testing.T) {
	const allowed, denied, refused = "Allowed", "ExplicitlyDenied", "ImplicitlyDenied"
	deadline := noon.Add(15 * time.Minute)
	access := sessionpolicy.RepositoryAccess{
		Partition: "aws", AccountID: account, ControllerARN: controller, ProjectID: "p1", PullRoleARN: pullRole, Readers: []string{reader},
	}
	shut := access
	shut.PullRoleARN = ""
	var (
		pulls    = sessionpolicy.PullRole("aws", region, account, "r1")
		pushes   = sessionpolicy.PushRole("aws", region, account, "r1")
		pull     = sessionpolicy.Pull(repository("p1"), deadline)
		push     = sessionpolicy.Push(repository("p1"), deadline)
		open     = sessionpolicy.Repository(access)
		disabled = sessionpolicy.Repository(shut)
	)
	type decision struct {
		request                     any
		identity, session, resource string
		want                        string
	}
	decisions := map[string]decision{
		"the project pulls":                      {call(pullRole, "ecr:BatchGetImage", repository("p1"), noon, "p1", "p1"), pulls, pull, open, allowed},
		"the project pulls a layer":              {call(pullRole, "ecr:GetDownloadUrlForLayer", repository("p1"), noon, "p1", "p1"), pulls, pull, open, allowed},
		"the project pulls after the deadline":   {call(pullRole, "ecr:BatchGetImage", repository("p1"), deadline, "p1", "p1"), pulls, pull, open, refused},
		"another project pulls":                  {call(pullRole, "ecr:BatchGetImage", repository("p1"), noon, "p2", "p1"), anything, "", open, denied},
		"another project pulls, by its role":     {call(pullRole, "ecr:BatchGetImage", repository("p1"), noon, "p2", "p1"), pulls, "", "", refused},
		"another repository, by the session":     {call(pullRole, "ecr:BatchGetImage", repository("p2"), noon, "p1", "p2"), anything, pull, "", refused},
		"a session without a tag pulls":          {call(pullRole, "ecr:BatchGetImage", repository("p1"), noon, "", "p1"), anything, "", open, denied},
		"a repository whose tag was changed":     {call(pullRole, "ecr:BatchGetImage", repository("p1"), noon, "p1", "p2"), pulls, pull, "", refused},
		"the project pulls while it is disabled": {call(pullRole, "ecr:BatchGetImage", repository("p1"), noon, "p1", "p1"), pulls, pull, disabled, denied},
		"a pull session publishes":               {call(pullRole, "ecr:PutImage", repository("p1"), noon, "p1", "p1"), anything, "", open, denied},
		"a pull session uploads":                 {call(pullRole, "ecr:InitiateLayerUpload", repository("p1"), noon, "p1", "p1"), pulls, pull, open, refused},
		"a builder uploads":                      {call(pushRole, "ecr:UploadLayerPart", repository("p1"), noon, "p1", "p1"), pushes, push, open, allowed},
		"a builder uploads after the deadline":   {call(pushRole, "ecr:UploadLayerPart", repository("p1"), deadline, "p1", "p1"), pushes, push, open, refused},
		"a builder uploads elsewhere":            {call(pushRole, "ecr:UploadLayerPart", repository("p2"), noon, "p1", "p2"), pushes, push, "", refused},
		"a builder publishes":                    {call(pushRole, "ecr:PutImage", repository("p1"), noon, "p1", "p1"), pushes, push, open, denied},
		"a builder publishes, by the session":    {call(pushRole, "ecr:PutImage", repository("p1"), noon, "p1", "p1"), anything, push, "", refused},
		"a builder publishes, by its role":       {call(pushRole, "ecr:PutImage", repository("p1"), noon, "p1", "p1"), pushes, "", "", refused},
		"a builder deletes":                      {call(pushRole, "ecr:BatchDeleteImage", repository("p1"), noon, "p1", "p1"), anything, "", open, denied},
		"the controller publishes":               {call(controller, "ecr:PutImage", repository("p1"), noon, "", "p1"), anything, "", open, allowed},
		"the controller deletes":                 {call(controller, "ecr:BatchDeleteImage", repository("p1"), noon, "", "p1"), anything, "", open, allowed},
		"the controller reads while disabled":    {call(controller, "ecr:BatchGetImage", repository("p1"), noon, "", "p1"), anything, "", disabled, allowed},
		"a reader pulls":                         {call(reader, "ecr:BatchGetImage", repository("p1"), noon, "", "p1"), anything, "", open, allowed},
		"a reader publishes":                     {call(reader, "ecr:PutImage", repository("p1"), noon, "", "p1"), anything, "", open, denied},
		"somebody of the account pulls":          {call(somebody, "ecr:BatchGetImage", repository("p1"), noon, "p1", "p1"), anything, "", open, denied},
		"somebody of the account publishes":      {call(somebody, "ecr:PutImage", repository("p1"), noon, "", "p1"), anything, "", open, denied},
		"somebody changes the policy":            {call(somebody, "ecr:SetRepositoryPolicy", repository("p1"), noon, "", "p1"), anything, "", open, denied},
		"somebody removes the repository":        {call(somebody, "ecr:DeleteRepository", repository("p1"), noon, "", "p1"), anything, "", open, denied},
		"root repairs the policy":                {call(root, "ecr:SetRepositoryPolicy", repository("p1"), noon, "", "p1"), anything, "", open, allowed},
		"root publishes":                         {call(root, "ecr:PutImage", repository("p1"), noon, "", "p1"), anything, "", open, denied},
	}
	var requests []request
	for name, d := range decisions {
		r := request{Name: name, Request: d.request, Identity: json.RawMessage(d.identity)}
		if d.session != "" {
			r.Session = json.RawMessage(d.session)
		}
		if d.resource != "" {
			r.Resource = json.RawMessage(d.resource)
		}
		requests = append(requests, r)
	}
	said := ask(t, nil, requests).Requests
	for name := range maps.Keys(decisions) {
		if said[name] != decisions[name].want {
			t.Errorf("%s: %s, want %s", name, said[name], decisions[name].want)
		}
	}
}
