package envtest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/test/awsemulator"
)

// leastPrivilege is the policy under which the controllers run in all tests but those that are about permissions.
func leastPrivilege(t *testing.T) string {
	t.Helper()
	policy, err := os.ReadFile(filepath.Join("..", "..", "config", "aws", "controller-policy.json"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(policy), "PARTITION", "aws")
}

// allowAll is the policy of somebody who may do everything.
const allowAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

// cloud is an emulated AWS account as its root user sees it.
type cloud struct {
	*awsemulator.Server
	config awssdk.Config
	ecr    *ecr.Client
	iam    *iam.Client
	sts    *sts.Client
	stacks *cloudformation.Client
	// controller acts with the session of the role that actAs made last.
	controller *ecr.Client
}

// asRoot stands for the account's root user, who may do everything and whose session never ends.
const asRoot = ""

// startCloud starts an account and points the SDK's ordinary settings of this process to it, as a role with the given
// policy, or asRoot.
func startCloud(t *testing.T, options awsemulator.Options, policy string) *cloud {
	t.Helper()
	options.RootMayAssumeRoles = true
	emulator, err := awsemulator.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := emulator.Close(); err != nil {
			t.Errorf("stop the emulator: %v", err)
		}
	})
	root := awssdk.Config{
		Region:       emulator.Region(),
		BaseEndpoint: awssdk.String(emulator.URL()),
		Credentials:  credentials.NewStaticCredentialsProvider(emulator.AccessKeyID(), emulator.SecretAccessKey(), ""),
	}
	c := &cloud{
		Server: emulator, config: root,
		ecr: ecr.NewFromConfig(root), iam: iam.NewFromConfig(root), sts: sts.NewFromConfig(root), stacks: cloudformation.NewFromConfig(root),
	}
	suiteAccounts = append(suiteAccounts, emulator)
	if policy == asRoot {
		c.useKeys(t, emulator.AccessKeyID(), emulator.SecretAccessKey(), "")
		return c
	}
	c.actAs(t, "imagecache-controller", policy)
	emulator.Calls().Reset()
	return c
}

// useKeys points the SDK's settings of this process to the account, with these keys.
func (c *cloud) useKeys(t *testing.T, id, secret, token string) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": c.URL(), "AWS_REGION": c.Region(), "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_ACCESS_KEY_ID": id, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token,
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
	} {
		t.Setenv(name, value)
	}
}

// actAs makes a role with a policy and points the SDK's settings of this process to a session of it.
func (c *cloud) actAs(t *testing.T, name, policy string) {
	t.Helper()
	c.beginSession(t, c.makeRole(t, name, policy))
}

// beginSession points the SDK's settings of this process to a new session of a role, which lasts for an hour.
func (c *cloud) beginSession(t *testing.T, arn string) {
	t.Helper()
	var session *sts.AssumeRoleOutput
	for attempt := 0; ; attempt++ {
		var err error
		session, err = c.sts.AssumeRole(t.Context(), &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: awssdk.String("test"), DurationSeconds: awssdk.Int32(3600)})
		if err == nil {
			break
		}
		if attempt == 100 {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond) // a new role takes a while to be usable
	}
	acting := c.config.Copy()
	id, secret, token := *session.Credentials.AccessKeyId, *session.Credentials.SecretAccessKey, *session.Credentials.SessionToken
	acting.Credentials = credentials.NewStaticCredentialsProvider(id, secret, token)
	c.controller = ecr.NewFromConfig(acting)
	c.useKeys(t, id, secret, token)
}

// makeRole makes a role that the account may assume, and returns its ARN.
func (c *cloud) makeRole(t *testing.T, name, policy string) string {
	t.Helper()
	trust := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%s:root"},"Action":["sts:AssumeRole","sts:TagSession"]}]}`, c.AccountID())
	role, err := c.iam.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})
	if err != nil {
		t.Fatal(err)
	}
	c.permit(t, name, policy)
	return *role.Role.Arn
}

// permit replaces a role's policy.
func (c *cloud) permit(t *testing.T, role, policy string) {
	t.Helper()
	_, err := c.iam.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &role, PolicyName: awssdk.String("test"), PolicyDocument: &policy})
	if err != nil {
		t.Fatal(err)
	}
}

// stack makes a stack with an output ImageCacheVersion, unless version is empty, and tags.
func (c *cloud) stack(t *testing.T, name, version string, tags map[string]string) {
	t.Helper()
	_, err := c.stacks.CreateStack(t.Context(), &cloudformation.CreateStackInput{
		StackName: &name, TemplateBody: awssdk.String(stackTemplate(version)), Tags: stackTags(tags),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// updateStack replaces a stack's version and tags.
func (c *cloud) updateStack(t *testing.T, name, version string, tags map[string]string) {
	t.Helper()
	_, err := c.stacks.UpdateStack(t.Context(), &cloudformation.UpdateStackInput{
		StackName: &name, TemplateBody: awssdk.String(stackTemplate(version)), Tags: stackTags(tags),
	})
	if err != nil {
		t.Fatal(err)
	}
}

func stackTemplate(version string) string {
	template := "Resources:\n  Handle:\n    Type: AWS::CloudFormation::WaitConditionHandle\n"
	if version != "" {
		template += "Outputs:\n  ImageCacheVersion:\n    Value: '" + version + "'\n"
	}
	return template
}

func stackTags(tags map[string]string) []cfntypes.Tag {
	var list []cfntypes.Tag
	for key, value := range tags {
		list = append(list, cfntypes.Tag{Key: awssdk.String(key), Value: awssdk.String(value)})
	}
	return list
}

// repository returns a repository with its tags, or nil.
func (c *cloud) repository(ctx context.Context, name string) (*ecr.DescribeRepositoriesOutput, map[string]string) {
	out, err := c.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{name}})
	if err != nil || len(out.Repositories) == 0 {
		return nil, nil
	}
	tags := map[string]string{}
	listed, err := c.ecr.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: out.Repositories[0].RepositoryArn})
	if err != nil {
		return nil, nil
	}
	for _, tag := range listed.Tags {
		tags[*tag.Key] = *tag.Value
	}
	return out, tags
}

// lifecycleDays is the age at which a repository's images expire, zero without a policy.
func (c *cloud) lifecycleDays(ctx context.Context, name string) int {
	out, err := c.ecr.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RepositoryName: &name})
	if err != nil {
		return 0
	}
	var policy struct {
		Rules []struct {
			Selection struct {
				CountNumber int `json:"countNumber"`
			} `json:"selection"`
		} `json:"rules"`
	}
	if json.Unmarshal([]byte(*out.LifecyclePolicyText), &policy) != nil || len(policy.Rules) != 1 {
		return 0
	}
	return policy.Rules[0].Selection.CountNumber
}

// writes counts the calls that change ECR.
func (c *cloud) writes() int {
	count := 0
	for operation, n := range c.Calls().Counts() {
		for _, verb := range []string{"ecr:Create", "ecr:Put", "ecr:Set", "ecr:Tag", "ecr:Untag", "ecr:Delete", "ecr:BatchDelete"} {
			if strings.HasPrefix(operation, verb) {
				count += n
			}
		}
	}
	return count
}

// newNamespace makes a namespace for one test.
func newNamespace(t *testing.T) string {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	if err := kube.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	return namespace.Name
}

// create creates an object in the API server.
func create[T client.Object](t *testing.T, object T) T {
	t.Helper()
	if err := kube.Create(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	return object
}

// roleNames are the names of all roles of the account.
func roleNames(t *testing.T, account *cloud) []string {
	t.Helper()
	out, err := account.iam.ListRoles(t.Context(), &iam.ListRolesInput{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, role := range out.Roles {
		names = append(names, *role.RoleName)
	}
	return names
}

// pullSecrets are the names of a namespace's Secrets with pull credentials.
func pullSecrets(namespace string) []string {
	var list corev1.SecretList
	err := kube.List(context.Background(), &list, client.InNamespace(namespace), client.MatchingLabels{v1alpha1.LabelCredentials: v1alpha1.CredentialsPull})
	if err != nil {
		return []string{err.Error()}
	}
	names := []string{}
	for _, secret := range list.Items {
		names = append(names, secret.Name)
	}
	return names
}

func pullSecret(namespace, name string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

// ahead is a clock that is so much before the machine's.
func ahead(by time.Duration) clock.PassiveClock { return aheadClock(by) }

type aheadClock time.Duration

func (c aheadClock) Now() time.Time                  { return time.Now().Add(time.Duration(c)) }
func (c aheadClock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

func keyOf(object client.Object) client.ObjectKey { return client.ObjectKeyFromObject(object) }

// putImage publishes an image of one layer in a project's repository, as the controller's role, which alone may.
func (c *cloud) putImage(t *testing.T, project *v1alpha1.ProjectImageCache, tag string) {
	t.Helper()
	image, err := random.Image(500, 1)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	repository, err := name.NewRepository(project.Status.Repository.URI, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	token, err := c.ecr.GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	auth := remote.WithAuth(authn.FromConfig(authn.AuthConfig{Auth: *token.AuthorizationData[0].AuthorizationToken}))
	for _, layer := range append(layers, static.NewLayer(config, "application/vnd.docker.container.image.v1+json")) {
		if err := remote.WriteLayer(repository, layer, auth); err != nil {
			t.Fatal(err)
		}
	}
	manifest, err := image.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.controller.PutImage(t.Context(), &ecr.PutImageInput{
		RepositoryName: &project.Status.Repository.Name, ImageTag: &tag, ImageManifest: ptrTo(string(manifest)),
		ImageManifestMediaType: ptrTo("application/vnd.docker.distribution.manifest.v2+json"),
	})
	if err != nil {
		t.Fatal(err)
	}
}
