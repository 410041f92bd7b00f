// Package aws tests the policies and templates of config/aws against the enforcing emulator.
package aws

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awscloudformation "github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	awssts "github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"k8s.io/utils/clock"

	"imagecache.dev/internal/attestation"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/cloudformation"
	"imagecache.dev/internal/ecr"
	"imagecache.dev/internal/iam"
	"imagecache.dev/internal/lru"
	"imagecache.dev/internal/sessionpolicy"
	"imagecache.dev/internal/sts"
	"imagecache.dev/test/awsemulator"
)

const (
	controllerName = "imagecache-controller"
	runnerStack    = "runner"
	project        = "p1"
)

// world is an account with the two stacks of config/aws, and the SDK's settings pointed to the controller's role.
type world struct {
	*awsemulator.Server
	root        awssdk.Config // of the account's root
	iam         *awsiam.Client
	stacks      *awscloudformation.Client
	sts         *awssts.Client
	boundaryARN string
	keyARN      string // of a KMS key for repositories
	// inspector is Amazon Inspector's role, and stranger another one with the same rights.
	inspector, stranger awssdk.Config
	runs                int
}

func newWorld(t *testing.T, bounded bool) *world {
	t.Helper()
	server, err := awsemulator.Start(awsemulator.Options{RootMayAssumeRoles: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() }) // the test is over
	root := awssdk.Config{
		Region: server.Region(), BaseEndpoint: awssdk.String(server.URL()),
		Credentials: credentials.NewStaticCredentialsProvider(server.AccessKeyID(), server.SecretAccessKey(), ""),
	}
	w := &world{Server: server, root: root, iam: awsiam.NewFromConfig(root), stacks: awscloudformation.NewFromConfig(root)}
	key, err := kms.NewFromConfig(root).CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	w.keyARN = *key.KeyMetadata.Arn
	outputs := w.deploy(t, runnerStack, "runner-stack.yaml", nil)
	w.boundaryARN = outputs["ImageCacheBoundaryArn"]
	parameters := map[string]string{"TrustedPrincipalArn": "arn:aws:iam::" + server.AccountID() + ":root"}
	if bounded {
		parameters["BoundaryArn"] = w.boundaryARN
	}
	role := w.deploy(t, "controller", "controller.yaml", parameters)["ControllerRoleArn"]
	w.sts = awssts.NewFromConfig(root)
	path, name := "/aws-service-role/inspector2.amazonaws.com/", "AWSServiceRoleForAmazonInspector2"
	w.inspector, w.stranger = w.scanner(t, path, name), w.scanner(t, "/", "stranger")
	w.actAs(t, role)
	return w
}

// scanner makes a role that may read every image as far as IAM goes, and returns a session of it.
func (w *world) scanner(t *testing.T, path, name string) awssdk.Config {
	t.Helper()
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::` + w.AccountID() + `:root"},"Action":"sts:AssumeRole"}]}`
	made, err := w.iam.CreateRole(t.Context(), &awsiam.CreateRoleInput{RoleName: &name, Path: &path, AssumeRolePolicyDocument: &trust})
	if err != nil {
		t.Fatal(err)
	}
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Resource":"*"}]}`
	_, err = w.iam.PutRolePolicy(t.Context(), &awsiam.PutRolePolicyInput{RoleName: &name, PolicyName: awssdk.String("read"), PolicyDocument: &policy})
	if err != nil {
		t.Fatal(err)
	}
	session, err := w.sts.AssumeRole(t.Context(), &awssts.AssumeRoleInput{RoleArn: made.Role.Arn, RoleSessionName: awssdk.String("scan")})
	if err != nil {
		t.Fatal(err)
	}
	config := w.root.Copy()
	config.Credentials = credentials.NewStaticCredentialsProvider(
		*session.Credentials.AccessKeyId, *session.Credentials.SecretAccessKey, *session.Credentials.SessionToken)
	return config
}

// actAs points the SDK's settings to a role.
func (w *world) actAs(t *testing.T, role string) {
	t.Helper()
	session, err := w.sts.AssumeRole(t.Context(), &awssts.AssumeRoleInput{RoleArn: &role, RoleSessionName: awssdk.String("controller")})
	if err != nil {
		t.Fatal(err)
	}
	for variable, value := range map[string]string{
		"AWS_ENDPOINT_URL": w.URL(), "AWS_REGION": w.Region(), "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
		"AWS_ACCESS_KEY_ID": *session.Credentials.AccessKeyId, "AWS_SECRET_ACCESS_KEY": *session.Credentials.SecretAccessKey,
		"AWS_SESSION_TOKEN": *session.Credentials.SessionToken,
	} {
		t.Setenv(variable, value)
	}
}

// deploy makes a stack of a template of config/aws and returns its outputs.
func (w *world) deploy(t *testing.T, stack, file string, parameters map[string]string) map[string]string {
	t.Helper()
	template, err := os.ReadFile(filepath.Join("..", "..", "config", "aws", file))
	if err != nil {
		t.Fatal(err)
	}
	input := &awscloudformation.CreateStackInput{
		StackName: &stack, TemplateBody: awssdk.String(string(template)), Capabilities: []cfntypes.Capability{cfntypes.CapabilityCapabilityNamedIam},
		Tags: []cfntypes.Tag{{Key: awssdk.String("team"), Value: awssdk.String("core")}},
	}
	for key, value := range parameters {
		input.Parameters = append(input.Parameters, cfntypes.Parameter{ParameterKey: &key, ParameterValue: &value})
	}
	if _, err := w.stacks.CreateStack(t.Context(), input); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		out, err := w.stacks.DescribeStacks(t.Context(), &awscloudformation.DescribeStacksInput{StackName: &stack})
		if err != nil {
			t.Fatal(err)
		}
		found := out.Stacks[0]
		if found.StackStatus == cfntypes.StackStatusCreateComplete {
			outputs := map[string]string{}
			for _, output := range found.Outputs {
				outputs[*output.OutputKey] = *output.OutputValue
			}
			return outputs
		}
		if found.StackStatus != cfntypes.StackStatusCreateInProgress {
			t.Fatalf("stack %s is %s: %s", stack, found.StackStatus, awssdk.ToString(found.StackStatusReason))
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("stack %s is not made in time", stack)
	return nil
}

// permit replaces the controller's policy.
func (w *world) permit(t *testing.T, policy string) {
	t.Helper()
	_, err := w.iam.PutRolePolicy(t.Context(), &awsiam.PutRolePolicyInput{
		RoleName: awssdk.String(controllerName), PolicyName: awssdk.String(controllerName), PolicyDocument: &policy,
	})
	if err != nil {
		t.Fatal(err)
	}
}

// life takes one project through everything that the controller ever does for it in AWS.
type life struct {
	world      *world
	clients    *aws.Clients
	granter    *sts.Granter
	target     aws.Target
	identity   aws.Identity
	runnerID   string
	roles      *iam.Roles
	pull, push iam.Role
	repository *ecr.Repository
	boundary   bool
}

// live runs a life from its beginning to its end, or to the first thing that fails.
func (w *world) live(ctx context.Context, boundary bool) error {
	provider, err := aws.NewProvider(ctx, aws.Options{})
	if err != nil {
		return err
	}
	w.runs++
	l := &life{
		world: w, granter: sts.NewGranter(provider), target: aws.Target{Region: w.Region()}, runnerID: fmt.Sprintf("r%d", w.runs), boundary: boundary,
	}
	l.clients = provider.Clients(l.target)
	l.roles = iam.NewRoles(l.clients)
	for _, step := range []func(context.Context) error{l.meet, l.makeRoles, l.mendRoles, l.makeRepository, l.mendRepository, l.publish, l.end} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (l *life) meet(ctx context.Context) (err error) {
	if l.identity, err = l.clients.Identity(ctx); err != nil {
		return err
	}
	stack, err := cloudformation.Read(ctx, l.clients, runnerStack)
	if err != nil {
		return err
	}
	if stack.Version != "1" || stack.Tags["team"] != "core" {
		return fmt.Errorf("the stack says version %q and tags %v", stack.Version, stack.Tags)
	}
	return nil
}

func (l *life) role(purpose sessionpolicy.Purpose, policy string) iam.Role {
	id := l.identity
	role := iam.Role{
		Name:  sessionpolicy.RoleName(l.runnerID, l.target.Region, purpose),
		Trust: sessionpolicy.Trust(id.PrincipalARN, id.AccountID, id.Partition), Policy: policy, Tags: map[string]string{"imagecache.dev/owner": "o"},
	}
	if l.boundary {
		role.BoundaryARN = l.world.boundaryARN
	}
	return role
}

func (l *life) makeRoles(ctx context.Context) error {
	id := l.identity
	l.pull = l.role(sessionpolicy.PurposePull, sessionpolicy.PullRole(id.Partition, l.target.Region, id.AccountID, l.runnerID))
	l.push = l.role(sessionpolicy.PurposePush, sessionpolicy.PushRole(id.Partition, l.target.Region, id.AccountID, l.runnerID))
	for _, role := range []iam.Role{l.pull, l.push} {
		seen, err := l.roles.Observe(ctx, role.Name)
		if err != nil {
			return err
		}
		if err := l.roles.Apply(ctx, role, iam.PlanRole(role, seen)); err != nil {
			return err
		}
		if err := l.granter.Check(ctx, l.target, sessionpolicy.RoleARN(id.Partition, id.AccountID, role.Name)); err != nil {
			return err
		}
	}
	return nil
}

// mendRoles finds all that can drift of a role and puts it right.
func (l *life) mendRoles(ctx context.Context) error {
	otherwise := l.pull
	otherwise.Trust = strings.Replace(l.pull.Trust, "imagecache-controller", "another", 1)
	otherwise.Policy = sessionpolicy.Nothing()
	otherwise.Tags = map[string]string{"imagecache.dev/owner": "o", "stray": "yes"}
	wanted := l.pull
	wanted.Former = []string{"stray"}
	if !l.boundary {
		otherwise.BoundaryARN = l.world.boundaryARN
	}
	for _, role := range []iam.Role{otherwise, wanted} {
		seen, err := l.roles.Observe(ctx, role.Name)
		if err != nil {
			return err
		}
		if err := l.roles.Apply(ctx, role, iam.PlanRole(role, seen)); err != nil {
			return err
		}
	}
	seen, err := l.roles.Observe(ctx, wanted.Name)
	if err != nil {
		return err
	}
	if plan := iam.PlanRole(wanted, seen); !plan.Empty() {
		return fmt.Errorf("after it was carried out, the plan is still %+v", plan)
	}
	return nil
}

func (l *life) makeRepository(ctx context.Context) (err error) {
	repositories := ecr.NewRepositories(l.clients)
	tags := map[string]string{"imagecache.dev/owner": "o", sessionpolicy.ProjectTag: project}
	if l.repository, err = repositories.Create(ctx, sessionpolicy.RepositoryName(l.runnerID, project), l.world.keyARN, tags); err != nil {
		return err
	}
	if err := repositories.PutLifecyclePolicy(ctx, l.repository.Name, ecr.LifecyclePolicy(30)); err != nil {
		return err
	}
	return repositories.SetPolicy(ctx, l.repository.Name, sessionpolicy.Repository(sessionpolicy.RepositoryAccess{
		Partition: l.identity.Partition, AccountID: l.identity.AccountID, ControllerARN: l.identity.PrincipalARN, ProjectID: project,
		PullRoleARN: sessionpolicy.RoleARN(l.identity.Partition, l.identity.AccountID, l.pull.Name),
		Readers:     []string{sessionpolicy.InspectorRoleARN(l.identity.Partition, l.identity.AccountID)},
	}))
}

func (l *life) mendRepository(ctx context.Context) error {
	repositories := ecr.NewRepositories(l.clients)
	inventory := ecr.NewInventory(l.clients, "gitpod-runner-", "imagecache.dev/owner", clock.RealClock{}, lru.NewBudget(1<<20))
	steps := []func() error{
		func() error { return inventory.Fresh(ctx, 0) },
		func() error { _, err := repositories.Describe(ctx, l.repository.Name); return err },
		func() error { _, err := repositories.LifecyclePolicy(ctx, l.repository.Name); return err },
		func() error { _, err := repositories.Policy(ctx, l.repository.Name); return err },
		func() error { return repositories.SetImmutable(ctx, l.repository.Name) },
		func() error { return repositories.Tag(ctx, l.repository.ARN, map[string]string{"stray": "yes"}) },
		func() error { return repositories.Untag(ctx, l.repository.ARN, []string{"stray"}) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// publish uploads an image with push credentials, publishes it, finds it, pulls it with pull credentials, and removes it.
func (l *life) publish(ctx context.Context) error {
	image, err := random.Image(1000, 2)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(15 * time.Minute)
	push, err := l.grant(ctx, l.push, sessionpolicy.Push(l.repository.ARN, deadline))
	if err != nil {
		return err
	}
	reference, err := name.NewRepository(l.repository.URI, name.Insecure)
	if err != nil {
		return err
	}
	digests, err := upload(ctx, reference, image, push)
	if err != nil {
		return err
	}
	images := ecr.NewImages(l.clients, clock.RealClock{}, lru.NewBudget(1<<20))
	missing, err := images.MissingBlobs(ctx, l.repository.Name, digests)
	if err != nil || len(missing) > 0 {
		return fmt.Errorf("missing %v: %w", missing, err)
	}
	manifest, err := image.RawManifest()
	if err != nil {
		return err
	}
	mediaType, err := image.MediaType()
	if err != nil {
		return err
	}
	if err := images.Put(ctx, l.repository.Name, "tag", manifest, string(mediaType)); err != nil {
		return err
	}
	found, err := images.Find(ctx, l.repository.Name, "tag")
	if err != nil || found == nil || found.ConfigErr != nil || !bytes.Equal(found.Manifest, manifest) {
		return fmt.Errorf("the image is not found as it was published: %+v: %w", found, firstError(err, configErr(found)))
	}
	if err := l.pullImage(ctx, reference.Digest(found.Digest)); err != nil {
		return err
	}
	if err := l.scan(ctx, found); err != nil {
		return err
	}
	if err := l.attach(ctx, images, found); err != nil {
		return err
	}
	return images.Remove(ctx, l.repository.Name, found.Digest)
}

// scan reads the image as Amazon Inspector does where spec.scanning lets it, and as somebody does whom nothing lets:
// https://docs.aws.amazon.com/inspector/latest/user/using-service-linked-roles.html
func (l *life) scan(ctx context.Context, found *ecr.Image) error {
	read := func(as awssdk.Config) error {
		api := awsecr.NewFromConfig(as)
		out, err := api.BatchGetImage(ctx, &awsecr.BatchGetImageInput{
			RepositoryName: &l.repository.Name, ImageIds: []ecrtypes.ImageIdentifier{{ImageDigest: &found.Digest}}, AcceptedMediaTypes: []string{found.MediaType},
		})
		if err != nil {
			return err
		}
		if len(out.Images) != 1 {
			return fmt.Errorf("%d images", len(out.Images))
		}
		manifest, err := v1.ParseManifest(bytes.NewReader(found.Manifest))
		if err != nil {
			return err
		}
		_, err = api.GetDownloadUrlForLayer(ctx, &awsecr.GetDownloadUrlForLayerInput{
			RepositoryName: &l.repository.Name, LayerDigest: awssdk.String(manifest.Layers[0].Digest.String()),
		})
		return err
	}
	if err := read(l.world.inspector); err != nil {
		return fmt.Errorf("scan as Amazon Inspector: %w", err)
	}
	if err := read(l.world.stranger); aws.ClassOf(err) != aws.ClassAccessDenied {
		return fmt.Errorf("another role of the account reads the image: %w", err)
	}
	return nil
}

// attach attaches something to an image as the controller attaches statements.
func (l *life) attach(ctx context.Context, images *ecr.Images, found *ecr.Image) error {
	bundle, err := attestation.NewBundle([]byte(`{"payload":"eyJwcmVkaWNhdGVUeXBlIjoicCJ9","signatures":[{"keyid":"k"}]}`))
	if err != nil {
		return err
	}
	referrer, err := bundle.Referrer(attestation.Subject{MediaType: found.MediaType, Digest: found.Digest, SizeBytes: len(found.Manifest)}, time.Now())
	if err != nil {
		return err
	}
	for _, blob := range [][]byte{attestation.Empty, bundle.Content} {
		if _, err := images.Upload(ctx, l.repository.Name, blob); err != nil {
			return err
		}
	}
	if err := images.PutReferrer(ctx, l.repository.Name, referrer, attestation.ManifestType); err != nil {
		return err
	}
	attached, err := images.Referrers(ctx, l.repository.Name, found.Digest, "")
	if err != nil || len(attached) != 1 {
		return fmt.Errorf("%d referrers: %w", len(attached), err)
	}
	return nil
}

func configErr(image *ecr.Image) error {
	if image == nil {
		return nil
	}
	return image.ConfigErr
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *life) grant(ctx context.Context, role iam.Role, policy string) (*sts.Password, error) {
	return l.granter.Grant(ctx, l.target, sts.Request{
		RoleARN:     sessionpolicy.RoleARN(l.identity.Partition, l.identity.AccountID, role.Name),
		SessionName: "life/of a project", Project: project, Policy: policy, Duration: 15 * time.Minute,
	})
}

func (l *life) pullImage(ctx context.Context, reference name.Digest) error {
	pull, err := l.grant(ctx, l.pull, sessionpolicy.Pull(l.repository.ARN, time.Now().Add(15*time.Minute)))
	if err != nil {
		return err
	}
	image, err := remote.Image(reference, remote.WithContext(ctx), remote.WithAuth(&authn.Basic{Username: pull.Username, Password: pull.Password}))
	if err != nil {
		return err
	}
	_, err = image.RawConfigFile()
	return err
}

// upload uploads an image's blobs and returns their digests.
func upload(ctx context.Context, repository name.Repository, image v1.Image, password *sts.Password) ([]string, error) {
	auth := remote.WithAuth(&authn.Basic{Username: password.Username, Password: password.Password})
	layers, err := image.Layers()
	if err != nil {
		return nil, err
	}
	config, err := image.RawConfigFile()
	if err != nil {
		return nil, err
	}
	var digests []string
	for _, layer := range append(layers, static.NewLayer(config, "application/vnd.docker.container.image.v1+json")) {
		digest, err := layer.Digest()
		if err != nil {
			return nil, err
		}
		digests = append(digests, digest.String())
		if err := remote.WriteLayer(repository, layer, auth, remote.WithContext(ctx)); err != nil {
			return nil, err
		}
	}
	return digests, nil
}

func (l *life) end(ctx context.Context) error {
	if err := ecr.NewRepositories(l.clients).Delete(ctx, l.repository.Name); err != nil {
		return err
	}
	for _, role := range []iam.Role{l.pull, l.push} {
		if err := l.roles.Delete(ctx, role.Name); err != nil {
			return err
		}
	}
	return nil
}

// policyDocument is the part of a policy that the tests change.
type policyDocument struct {
	Version   string
	Statement []map[string]any
}

func readPolicy(t *testing.T) (text string, parsed policyDocument) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "config", "aws", "controller-policy.json"))
	if err != nil {
		t.Fatal(err)
	}
	text = strings.ReplaceAll(string(content), "PARTITION", "aws")
	if err := json.Unmarshal([]byte(text), &parsed); err != nil {
		t.Fatal(err)
	}
	return text, parsed
}

// without is the policy less one action.
func without(t *testing.T, action string) string {
	t.Helper()
	_, policy := readPolicy(t)
	for _, statement := range policy.Statement {
		actions := statement["Action"].([]any)
		statement["Action"] = slices.DeleteFunc(actions, func(a any) bool { return a == action })
	}
	content, err := json.Marshal(policy)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestTemplateHasThePolicy(t *testing.T) {
	w := newWorld(t, false)
	out, err := w.iam.GetRolePolicy(t.Context(), &awsiam.GetRolePolicyInput{RoleName: awssdk.String(controllerName), PolicyName: awssdk.String(controllerName)})
	if err != nil {
		t.Fatal(err)
	}
	policy, _ := readPolicy(t)
	inAccount := strings.NewReplacer("arn:aws:ecr:*:*:", "arn:aws:ecr:*:"+w.AccountID()+":", "arn:aws:iam::*:", "arn:aws:iam::"+w.AccountID()+":").Replace(policy)
	if got := unescaped(*out.PolicyDocument); !sessionpolicy.Equal(got, inAccount) {
		t.Errorf("controller.yaml has the policy\n%s\nand controller-policy.json\n%s", got, inAccount)
	}
}

// A role that trusts a service of AWS must say for which account the service acts:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
func TestPodIdentityIsTrustedForThisAccountAlone(t *testing.T) {
	w := newWorld(t, false)
	w.deploy(t, "by-pods", "controller.yaml", map[string]string{"RoleName": "by-pods"})
	out, err := w.iam.GetRole(t.Context(), &awsiam.GetRoleInput{RoleName: awssdk.String("by-pods")})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},` +
		`"Action":["sts:AssumeRole","sts:TagSession"],"Condition":{"StringEquals":{"aws:SourceAccount":"` + w.AccountID() + `"}}}]}`
	if got := unescaped(*out.Role.AssumeRolePolicyDocument); !sessionpolicy.Equal(got, want) {
		t.Errorf("the role trusts %s, want %s", got, want)
	}
	named, err := w.iam.GetRole(t.Context(), &awsiam.GetRoleInput{RoleName: awssdk.String(controllerName)})
	if err != nil {
		t.Fatal(err)
	}
	if got := unescaped(*named.Role.AssumeRolePolicyDocument); strings.Contains(got, "Condition") {
		t.Errorf("a role for a principal by name has a condition: %s", got)
	}
}

func TestPolicySufficesForAProjectsWholeLife(t *testing.T) {
	policy, _ := readPolicy(t)
	w := newWorld(t, false)
	w.permit(t, policy)
	if err := w.live(t.Context(), false); err != nil {
		t.Fatal(err)
	}
}

func TestPolicySufficesWithABoundary(t *testing.T) {
	w := newWorld(t, true)
	if err := w.live(t.Context(), true); err != nil {
		t.Fatal(err)
	}
}

// Each runner's stack has a boundary of its own.
func TestBoundariesOfTwoRunnersStacks(t *testing.T) {
	w := newWorld(t, false)
	first := w.boundaryARN
	second := w.deploy(t, "runner-2", "runner-stack.yaml", nil)["ImageCacheBoundaryArn"]
	if first == second {
		t.Fatalf("both stacks have the boundary %s", first)
	}
	role := w.deploy(t, "bounded", "controller.yaml", map[string]string{
		"RoleName": "bounded", "BoundaryArn": first + "," + second, "TrustedPrincipalArn": "arn:aws:iam::" + w.AccountID() + ":root",
	})["ControllerRoleArn"]
	w.actAs(t, role)
	for _, boundary := range []string{first, second} {
		w.boundaryARN = boundary
		if err := w.live(t.Context(), true); err != nil {
			t.Errorf("with boundary %s: %v", boundary, err)
		}
	}
	w.boundaryARN = "arn:aws:iam::aws:policy/ReadOnlyAccess"
	if err := w.live(t.Context(), true); aws.ClassOf(err) != aws.ClassAccessDenied || !strings.Contains(err.Error(), "CreateRole") {
		t.Errorf("with another boundary it ends in %v, want CreateRole to be denied", err)
	}
}

func TestBoundaryKeepsTheControllerFromMakingOtherRoles(t *testing.T) {
	w := newWorld(t, true)
	err := w.live(t.Context(), false)
	if aws.ClassOf(err) != aws.ClassAccessDenied || !strings.Contains(err.Error(), "CreateRole") {
		t.Errorf("a role without the boundary ends in %v, want CreateRole to be denied", err)
	}
}

func TestEveryActionOfThePolicyIsNeeded(t *testing.T) {
	w := newWorld(t, false)
	_, policy := readPolicy(t)
	for _, statement := range policy.Statement {
		for _, action := range statement["Action"].([]any) {
			if action == "kms:RetireGrant" {
				// AWS' documentation names it for repositories with a key; the emulator's ECR never asks for it:
				// https://docs.aws.amazon.com/AmazonECR/latest/userguide/encryption-at-rest.html
				continue
			}
			t.Run(action.(string), func(t *testing.T) {
				w.permit(t, without(t, action.(string)))
				err := w.live(t.Context(), false)
				if err == nil {
					t.Errorf("a project's whole life needs no %s", action)
				} else if !strings.Contains(err.Error(), action.(string)) {
					t.Errorf("without %s it ends in %v, which does not name the action", action, err)
				}
			})
		}
	}
}

// unescaped is a policy document as IAM hands it out, without its percent signs.
func unescaped(document string) string {
	plain, err := url.PathUnescape(document)
	if err != nil {
		return document
	}
	return plain
}
