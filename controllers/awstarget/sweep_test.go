package awstarget

import (
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/ecr"
	"imagecache.dev/test/fixture"
)

// newTargets returns Targets whose clients call nobody.
func newTargets(t *testing.T) (*Targets, *aws.Provider) {
	t.Helper()
	for _, variable := range []string{"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"} {
		t.Setenv(variable, "/dev/null")
	}
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	provider, err := aws.NewProvider(t.Context(), aws.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return New(provider, clock.RealClock{}, nil), provider
}

// remember makes a target hold something.
func remember(target *Target) {
	target.Inventory.Note(ecr.Repository{Name: "gitpod-runner-r1/projects/p1/image-build"})
}

func TestTargetsThatNoRunnerNamesAreLetGo(t *testing.T) {
	targets, provider := newTargets(t)
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	stays := fixture.Runner(func(r *v1alpha1.RunnerImageCache) { r.Spec.AssumeRoleARN = "arn:aws:iam::123456789012:role/stays" })
	goes := fixture.Runner(func(r *v1alpha1.RunnerImageCache) {
		r.Name, r.Spec.AssumeRoleARN = "r2", "arn:aws:iam::123456789012:role/goes"
	})
	var asked int
	sweep := &Sweep{
		Client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(stays, goes).Build(),
		Keep:   []func(map[aws.Target]bool){targets.Keep, func(map[aws.Target]bool) { asked++ }},
	}
	kept, gone := targets.at(AddressOf(stays)), targets.at(AddressOf(goes))
	keptClients, goneClients := provider.Clients(AddressOf(stays)), provider.Clients(AddressOf(goes))
	remember(kept)
	remember(gone)
	both := targets.budget.Bytes()

	sweep.once(t.Context())
	if targets.at(AddressOf(goes)) != gone || provider.Clients(AddressOf(goes)) != goneClients || targets.budget.Bytes() != both {
		t.Error("a target that a runner names was let go")
	}

	sweep.Client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(stays).Build()
	sweep.once(t.Context())
	if targets.at(AddressOf(stays)) != kept || provider.Clients(AddressOf(stays)) != keptClients {
		t.Error("the target that a runner names was let go")
	}
	if bytes := targets.budget.Bytes(); bytes != both/2 {
		t.Errorf("%d bytes are kept, want half of %d: those of the target that a runner names", bytes, both)
	}
	remember(gone) // by a pass that still has it
	if bytes := targets.budget.Bytes(); bytes != both/2 {
		t.Errorf("what a pass notes of a target that was let go still counts: %d bytes", bytes)
	}
	if len(targets.known) != 1 || asked != 2 {
		t.Errorf("%d targets are known after %d sweeps", len(targets.known), asked)
	}
	if targets.at(AddressOf(goes)) == gone || provider.Clients(AddressOf(goes)) == goneClients {
		t.Error("a target that was let go is still there")
	}
}

// What cannot be listed is not known to be unused.
func TestTargetsStayWhileRunnersCannotBeListed(t *testing.T) {
	targets, _ := newTargets(t)
	target := targets.at(aws.Target{Region: "eu-central-1"})
	sweep := &Sweep{Client: fake.NewClientBuilder().WithScheme(runtime.NewScheme()).Build(), Keep: []func(map[aws.Target]bool){targets.Keep}}
	sweep.once(t.Context())
	if targets.at(aws.Target{Region: "eu-central-1"}) != target {
		t.Error("a target was let go although the runners could not be listed")
	}
}

func TestAllTargetsHaveOneBudget(t *testing.T) {
	targets, _ := newTargets(t)
	remember(targets.at(aws.Target{Region: "eu-central-1"}))
	one := targets.budget.Bytes()
	remember(targets.at(aws.Target{Region: "us-east-1"}))
	if bytes := targets.budget.Bytes(); one == 0 || bytes != 2*one {
		t.Errorf("two targets hold %d bytes, want twice the %d of one", bytes, one)
	}
}
