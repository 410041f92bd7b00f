package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const repository = "team/app"

func (s *session) aws() error {
	a := func(line string, more ...string) []string { return append(strings.Fields("aws "+line), more...) }
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + account + `:root"},"Action":["sts:AssumeRole","sts:TagSession"]}]}`
	rights := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"arn:aws:ecr:*:*:repository/${aws:PrincipalTag/team}/*"}]}`
	lifecycle := `{"rules":[{"rulePriority":1,"description":"thirty days","selection":{"tagStatus":"any","countType":"sinceImagePushed","countUnit":"days","countNumber":30},"action":{"type":"expire"}}]}`
	template := "Resources: {Wait: {Type: 'AWS::CloudFormation::WaitConditionHandle'}}\nOutputs: {ImageCacheVersion: {Value: '1'}}\n"
	if err := s.all(
		check{args: a("sts get-caller-identity"), wants: []string{account, ":root"}},
		check{args: a("ecr create-repository --image-tag-mutability IMMUTABLE --tags Key=owner,Value=me --repository-name", repository), wants: []string{"IMMUTABLE", s.emulator.host + "/" + repository}},
		check{args: a("ecr create-repository --repository-name", repository), fails: "RepositoryAlreadyExistsException"},
		check{args: a("ecr create-repository --repository-name BAD"), fails: "InvalidParameterException"},
		check{args: a("ecr create-repository --repository-name other")},
		check{args: a("ecr describe-repositories --page-size 1 --query length(repositories)"), wants: []string{"2"}},
		check{args: a("ecr put-lifecycle-policy --repository-name "+repository+" --lifecycle-policy-text", lifecycle), wants: []string{"thirty days"}},
		check{args: a("ecr get-lifecycle-policy --repository-name", repository), wants: []string{"thirty days"}},
		check{args: a("ecr get-repository-policy --repository-name", repository), fails: "RepositoryPolicyNotFoundException"},
		check{args: a("resourcegroupstaggingapi get-resources --tag-filters Key=owner,Values=me"), wants: []string{"repository/" + repository}},
		check{args: a("cloudformation create-stack --stack-name runner --tags Key=team,Value=dev --template-body", template), wants: []string{"stack/runner/"}},
		check{args: a("cloudformation wait stack-create-complete --stack-name runner")},
		check{args: a("cloudformation describe-stacks --stack-name runner"), wants: []string{"CREATE_COMPLETE", "ImageCacheVersion", "team"}},
		check{args: a("cloudformation describe-stacks --stack-name none"), fails: "does not exist"},
		check{args: a("iam create-role --role-name builder --assume-role-policy-document", trust), wants: []string{"AROA", "sts:TagSession"}},
		check{args: a("iam put-role-policy --role-name builder --policy-name rights --policy-document", rights)},
		check{args: a("iam get-role-policy --role-name builder --policy-name rights"), wants: []string{"aws:PrincipalTag/team"}},
		check{args: a("sts get-caller-identity"), env: []string{"AWS_SECRET_ACCESS_KEY=wrong"}, fails: "SignatureDoesNotMatch"},
	); err != nil {
		return err
	}
	out, err := s.check(check{args: a("sts assume-role --role-session-name client --tags Key=team,Value=team --output json --role-arn", "arn:aws:iam::"+account+":role/builder"), wants: []string{"SessionToken"}})
	if err != nil {
		return err
	}
	var assumed struct {
		Credentials struct{ AccessKeyID, SecretAccessKey, SessionToken string }
	}
	if err := json.Unmarshal([]byte(out), &assumed); err != nil {
		return fmt.Errorf("read credentials: %w", err)
	}
	session := []string{"AWS_ACCESS_KEY_ID=" + assumed.Credentials.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + assumed.Credentials.SecretAccessKey, "AWS_SESSION_TOKEN=" + assumed.Credentials.SessionToken}
	if err := s.all(
		check{args: a("ecr list-images --repository-name", repository), env: session, wants: []string{"imageIds"}},
		check{args: a("ecr list-images --repository-name other"), env: session, fails: "because no identity-based policy allows the ecr:ListImages action"},
	); err != nil {
		return err
	}
	out, err = s.check(check{args: a("ecr get-login-password")})
	s.password = strings.TrimSpace(out)
	return err
}

func (s *session) skopeo() error {
	creds := "AWS:" + s.password
	target := "docker://" + s.emulator.host + "/" + repository
	k := func(args ...string) []string { return append([]string{"skopeo", "--insecure-policy"}, args...) }
	back := filepath.Join(s.work, "back")
	if err := s.all(
		check{args: k("copy", "--dest-tls-verify=false", "--dest-creds", creds, "oci:"+s.layout+":latest", target+":v1")},
		check{args: k("copy", "--dest-tls-verify=false", "--dest-creds", creds, "--format", "v2s2", "oci:"+s.layout+":latest", target+":docker")},
		check{args: k("copy", "--dest-tls-verify=false", "--dest-creds", creds, "--format", "v2s2", "oci:"+s.layout+":latest", target+":v1"), fails: "immutable"},
		check{args: k("copy", "--dest-tls-verify=false", "--dest-creds", "AWS:wrong", "oci:"+s.layout+":latest", target+":v2"), fails: "authentication required"},
		check{args: k("inspect", "--tls-verify=false", target+":v1"), fails: "unauthorized"},
		check{args: k("inspect", "--tls-verify=false", "--creds", creds, target+":v1"), wants: []string{"test-clients"}},
		check{args: k("list-tags", "--tls-verify=false", "--creds", creds, target), wants: []string{"v1", "docker"}},
		check{args: k("copy", "--src-tls-verify=false", "--src-creds", creds, target+":v1", "oci:"+back+":latest")},
	); err != nil {
		return err
	}
	return sameBlobs(s.layout, back)
}

// sameBlobs wants what came back to be what went in, byte for byte.
func sameBlobs(a, b string) error {
	sent, err := os.ReadDir(filepath.Join(a, "blobs", "sha256"))
	if err != nil {
		return err
	}
	for _, entry := range sent {
		name := filepath.Join("blobs", "sha256", entry.Name())
		want, err := os.ReadFile(filepath.Join(a, name))
		if err != nil {
			return err
		}
		have, err := os.ReadFile(filepath.Join(b, name))
		if err != nil {
			return fmt.Errorf("a blob did not come back: %w", err)
		}
		if string(have) != string(want) {
			return fmt.Errorf("blob %s did not come back as it was sent", entry.Name())
		}
	}
	return nil
}

func (s *session) podman() error {
	p := func(args ...string) []string {
		return append(append([]string{"podman"}, s.storage()...), args...)
	}
	out, err := s.check(check{args: strings.Fields("aws ecr describe-images --output text --query imageDetails[?contains(imageTags,'v1')].imageDigest --repository-name " + repository), wants: []string{"sha256:"}})
	if err != nil {
		return err
	}
	image := s.emulator.host + "/" + repository
	byDigest := image + "@" + strings.TrimSpace(out)
	return s.all(
		check{args: p("pull", "--quiet", "--tls-verify=false", byDigest), fails: "unauthorized"},
		check{args: p("login", "--tls-verify=false", "--username", "AWS", "--password-stdin", s.emulator.host), stdin: s.password, wants: []string{"Login Succeeded"}},
		check{args: p("pull", "--quiet", "--tls-verify=false", byDigest)},
		check{args: p("image", "inspect", byDigest), wants: []string{"made-by"}},
		check{args: p("push", "--quiet", "--tls-verify=false", byDigest, s.emulator.host+"/other:from-podman")},
		check{args: p("push", "--quiet", "--tls-verify=false", byDigest, s.emulator.host+"/none:v1"), fails: "does not exist"},
		check{args: p("rmi", "--all", "--force")},
		check{args: p("pull", "--quiet", "--tls-verify=false", s.emulator.host+"/other:from-podman")},
		check{args: p("rmi", "--all", "--force")},
		check{args: p("login", "--tls-verify=false", "--username", "AWS", "--password", "wrong", s.emulator.host), fails: "nvalid"},
	)
}

// credentialHelper asks for an ECR host name, the only ones that the helper answers for, and uses the answer at the emulator.
func (s *session) credentialHelper() error {
	host := account + ".dkr.ecr." + region + ".amazonaws.com"
	out, err := s.check(check{args: []string{s.helper, "get"}, stdin: host + "\n", wants: []string{`"Username":"AWS"`}})
	if err != nil {
		return err
	}
	var answer struct{ Username, Secret string }
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		return fmt.Errorf("read the helper's answer: %w", err)
	}
	s.password = answer.Secret
	return s.all(check{args: []string{"skopeo", "list-tags", "--tls-verify=false", "--creds", answer.Username + ":" + answer.Secret, "docker://" + s.emulator.host + "/" + repository}, wants: []string{"v1"}})
}

func (s *session) crane() error {
	c := func(args ...string) []string { return append([]string{s.craneProgram}, args...) }
	image := s.emulator.host + "/" + repository
	archive := filepath.Join(s.work, "crane.tar")
	return s.all(
		check{args: c("ls", "--insecure", image), env: []string{"REGISTRY_AUTH_FILE=" + filepath.Join(s.work, "none.json")}, fails: "UNAUTHORIZED"},
		check{args: c("auth", "login", "--insecure", "--username", "AWS", "--password-stdin", s.emulator.host), stdin: s.password},
		check{args: c("ls", "--insecure", image), wants: []string{"v1", "docker"}},
		check{args: c("digest", "--insecure", image+":v1"), wants: []string{"sha256:"}},
		check{args: c("pull", "--insecure", image+":v1", archive)},
		check{args: c("push", "--insecure", archive, s.emulator.host+"/other:from-crane")},
		check{args: c("push", "--insecure", archive, image+":v1"), fails: "immutable"},
		check{args: c("validate", "--insecure", "--remote", s.emulator.host+"/other:from-crane"), wants: []string{"PASS"}},
		check{args: c("copy", "--insecure", image+":docker", s.emulator.host+"/other:copied")},
		check{args: c("manifest", "--insecure", s.emulator.host+"/other:copied"), wants: []string{"application/vnd.docker.distribution.manifest.v2+json"}},
	)
}
