package envtest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"imagecache.dev/internal/sessionpolicy"
	"imagecache.dev/test/awsemulator"
)

// attack is something that code in a build, or somebody else with credentials, may try.
type attack struct {
	name    string
	purpose sessionpolicy.Purpose
	try     func(context.Context, *attacker) error
	// shields are the protections of which each by itself stops the attack.
	shields []shield
}

// attacks with credentials that were handed out.
var attacks = []attack{
	{"put a manifest under any hash, with upload rights", sessionpolicy.PurposePush,
		func(ctx context.Context, a *attacker) error { return a.putManifest(ctx, a.own, hashOf("any")) },
		[]shield{sessionShield, roleShield, repositoryShield}},
	{"overwrite the image of a hash, with upload rights", sessionpolicy.PurposePush,
		func(ctx context.Context, a *attacker) error { return a.putManifest(ctx, a.own, a.hash) },
		[]shield{sessionShield, roleShield, repositoryShield, immutableShield}},
	{"delete the image of a hash, with upload rights", sessionpolicy.PurposePush,
		func(ctx context.Context, a *attacker) error { return a.delete(ctx) },
		[]shield{sessionShield, roleShield, repositoryShield, passwordShield}},
	{"upload into another project, with upload rights", sessionpolicy.PurposePush,
		func(ctx context.Context, a *attacker) error { return a.upload(ctx, a.other) },
		[]shield{sessionShield, roleShield}},
	{"read an image, with upload rights", sessionpolicy.PurposePush,
		func(ctx context.Context, a *attacker) error { return a.pull(ctx, a.own) },
		[]shield{sessionShield, roleShield, repositoryShield}},
	{"read another project, with a pull password", sessionpolicy.PurposePull,
		func(ctx context.Context, a *attacker) error { return a.pull(ctx, a.other) },
		[]shield{sessionShield, roleShield, repositoryShield}},
	{"push an image, with a pull password", sessionpolicy.PurposePull,
		func(ctx context.Context, a *attacker) error { return a.putManifest(ctx, a.own, hashOf("any")) },
		[]shield{sessionShield, roleShield, repositoryShield}},
	{"upload layers, with a pull password", sessionpolicy.PurposePull,
		func(ctx context.Context, a *attacker) error { return a.upload(ctx, a.own) },
		[]shield{sessionShield, roleShield}},
	{"mint another token out of upload rights", sessionpolicy.PurposePush,
		func(ctx context.Context, a *attacker) error { return a.mint(ctx) },
		[]shield{passwordShield}},
	{"mint another token out of a pull password", sessionpolicy.PurposePull,
		func(ctx context.Context, a *attacker) error { return a.mint(ctx) },
		[]shield{passwordShield}},
	{"change the repository's policy, with upload rights", sessionpolicy.PurposePush,
		func(ctx context.Context, a *attacker) error {
			_, err := a.api.SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: &a.own, PolicyText: awssdk.String(openToAll)})
			return err
		},
		[]shield{sessionShield, roleShield, repositoryShield, passwordShield}},
	{"change the lifecycle, with a pull password", sessionpolicy.PurposePull,
		func(ctx context.Context, a *attacker) error { return a.expireAll(ctx) },
		[]shield{sessionShield, roleShield, repositoryShield, passwordShield}},
}

// attacks by any principal of the account, whose own policy allows everything. The repository's policy is all that
// stands in between.
var attacksFromTheAccount = []attack{
	{"any principal of the account pulls", "",
		func(ctx context.Context, a *attacker) error { return a.pull(ctx, a.own) }, nil},
	{"any principal of the account publishes", "",
		func(ctx context.Context, a *attacker) error { return a.putManifest(ctx, a.own, hashOf("any")) }, nil},
	{"any principal of the account deletes an image", "",
		func(ctx context.Context, a *attacker) error { return a.delete(ctx) }, nil},
	{"any principal of the account changes the repository's policy", "",
		func(ctx context.Context, a *attacker) error {
			_, err := a.api.SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: &a.own, PolicyText: awssdk.String(openToAll)})
			return err
		}, nil},
	{"any principal of the account removes the repository's policy", "",
		func(ctx context.Context, a *attacker) error {
			if _, err := a.lab.ecr.GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RepositoryName: &a.own}); err != nil {
				return nil // there is none to remove
			}
			_, err := a.api.DeleteRepositoryPolicy(ctx, &ecr.DeleteRepositoryPolicyInput{RepositoryName: &a.own})
			return err
		}, nil},
	{"any principal of the account makes everything expire", "",
		func(ctx context.Context, a *attacker) error { return a.expireAll(ctx) }, nil},
	{"any principal of the account makes tags mutable", "",
		func(ctx context.Context, a *attacker) error {
			_, err := a.api.PutImageTagMutability(ctx, &ecr.PutImageTagMutabilityInput{RepositoryName: &a.own, ImageTagMutability: ecrtypes.ImageTagMutabilityMutable})
			return err
		}, nil},
	{"any principal of the account gives the repository another project's tag", "",
		func(ctx context.Context, a *attacker) error {
			arn := sessionpolicy.RepositoryARN("aws", a.lab.Region(), a.lab.AccountID(), a.own)
			_, err := a.api.TagResource(ctx, &ecr.TagResourceInput{ResourceArn: &arn, Tags: []ecrtypes.Tag{{Key: awssdk.String(sessionpolicy.ProjectTag), Value: awssdk.String("mine")}}})
			return err
		}, nil},
	{"any principal of the account deletes the repository", "",
		func(ctx context.Context, a *attacker) error {
			_, err := a.api.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: &a.own, Force: true})
			return err
		}, nil},
}

const openToAll = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:*"}]}`

func (a *attacker) expireAll(ctx context.Context) error {
	_, err := a.api.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RepositoryName: &a.own, LifecyclePolicyText: awssdk.String(
		`{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`)})
	return err
}

// scenarios are attacks on what the controllers do, each with what it needs of the cluster. The last two move AWS' clock.
var scenarios = []struct {
	name string
	// run answers what stopped the attack.
	run func(*testing.T, *battlefield) []string
}{
	{"assume the push role oneself", assumePushRole},
	{"find upload rights during a build step", uploadRightsDuringBuild},
	{"report an image of another hash", reportAnotherHash},
	{"report another request's image", reportAnothersImage},
	{"publish from a rebuild", publishFromRebuild},
	{"publish twice from one environment", publishTwice},
	{"publish twice from one service of an environment", publishTwiceFromAService},
	{"publish after another took over", publishAfterTakeover},
	{"read upload rights after the end", uploadRightsAfterTheEnd},
	{"report for another runner's namespace", reportForAnotherNamespace},
	{"read another runner's Secret", readAnothersSecret},
	{"list Secrets as a runner", listSecrets},
	{"alter a Secret as a runner", alterSecret},
	{"make the controller overwrite or remove another Secret", controllerAsDeputy},
	{"reach what another namespace's role reaches", borrowRole},
	{"put an unsigned image under a hash, past the repository's policy", smuggleUnsigned},
	{"move a signature to another hash", moveSignatureToAnotherHash},
	{"move a signature to another repository", moveSignatureToAnotherRepository},
	{"move a signature to another platform", moveSignatureToAnotherPlatform},
	{"move a signature to other layers, another configuration or request", moveSignatureToAnotherContent},
	{"change what a signed manifest says beside its digests", changeSignedManifest},
	{"bring a withdrawn image back, past the repository's policy", bringBackWithdrawnImage},
	{"hand a runner a foreign manifest", handForeignManifest},
	{"sign with a revoked key", signWithRevokedKey},
	{"create the repository before the project, with its tag and images", repositoryMadeBefore},
	{"push between the creation of a repository and its policy", pushBeforePolicy},
	{"replicate an image from another region", replicatedImage},
	{"pull while the runner's cache is off", pullWhileDisabled},
	{"upload after the deadline, with a password that lives on", uploadAfterDeadline},
	{"pull with a password beyond its session", pullBeyondSession},
}

// told is the table of attacks, one line for each, in the order in which they were tried.
var told []string

func tell(t *testing.T, name string, by ...string) {
	t.Helper()
	line := fmt.Sprintf("attack: %-72s succeeds without, stopped by: %s", name, strings.Join(by, " | "))
	t.Log(line)
	told = append(told, line)
}

// TestAttacks tries every attack first where nothing stands against it, so that none fails for want of trying; then
// against each protection alone; and at last against all that there is in earnest, with credentials that the
// controllers made.
func TestAttacks(t *testing.T) {
	told = nil
	w := newBattlefield(t)
	for _, attack := range attacks {
		t.Run(attack.name, func(t *testing.T) { w.credentialAttack(t, attack) })
	}
	for _, attack := range attacksFromTheAccount {
		t.Run(attack.name, func(t *testing.T) { w.accountAttack(t, attack) })
	}
	for _, scenario := range scenarios {
		t.Run(scenario.name, func(t *testing.T) {
			by := scenario.run(t, w.of(t))
			if !t.Failed() {
				tell(t, scenario.name, by...)
			}
		})
	}
	told = append(told, fmt.Sprintf("attacks: %d tried, %d stopped", len(attacks)+len(attacksFromTheAccount)+len(scenarios), len(told)))
	table := strings.Join(told, "\n") + "\n"
	fmt.Print(table)
	// Where only failures are shown, whoever runs the tests shows this file.
	if file := os.Getenv("IMAGECACHE_ATTACKS"); file != "" {
		if err := os.WriteFile(filepath.Clean(file), []byte(table), 0o600); err != nil {
			t.Error(err)
		}
	}
}

// credentialAttack tries an attack without a shield, with each alone, and with the controllers' own credentials.
func (w *battlefield) credentialAttack(t *testing.T, attack attack) {
	t.Helper()
	w = w.of(t)
	if err := attack.try(t.Context(), w.lab.stage(attack.purpose)); err != nil {
		t.Fatalf("the attack fails where nothing stands against it: %v", err)
	}
	var by []string
	for _, up := range attack.shields {
		w.stopped(attack.try(t.Context(), w.lab.stage(attack.purpose, up)), stops[up])
		by = append(by, string(up))
	}
	if err := attack.try(t.Context(), w.real(attack.purpose)); err == nil {
		t.Error("the attack succeeds with what the controllers hand out")
	}
	if !t.Failed() {
		tell(t, attack.name, by...)
	}
}

// accountAttack tries an attack by a principal of the account that may do everything.
func (w *battlefield) accountAttack(t *testing.T, attack attack) {
	t.Helper()
	w = w.of(t)
	somebody := func(up ...shield) *attacker {
		a := w.lab.stage(sessionpolicy.PurposePush, append(up, immutableShield)...)
		keys := w.lab.session(w.lab.makeRole(t, fmt.Sprintf("somebody-%d", w.lab.count), wide), "-", wide)
		a.auth, a.api = w.lab.password(keys), ecr.NewFromConfig(w.lab.as(keys))
		return a
	}
	if err := attack.try(t.Context(), somebody()); err != nil {
		t.Fatalf("the attack fails where nothing stands against it: %v", err)
	}
	a := somebody(repositoryShield)
	w.stopped(attack.try(t.Context(), a), stops[repositoryShield])
	a.own, a.hash = w.shop, hashOf("shop")
	w.stopped(attack.try(t.Context(), a), stops[repositoryShield])
	if !t.Failed() {
		tell(t, attack.name, string(repositoryShield))
	}
}

// stopped checks that an attack failed, and for the reason that it should.
func (w *battlefield) stopped(err error, why string) {
	w.t.Helper()
	switch {
	case err == nil:
		w.t.Errorf("the attack succeeds, and should have been stopped: %s", why)
	case !strings.Contains(reasonFor(err), why):
		w.t.Errorf("the attack was stopped by %q, want %q", reasonFor(err), why)
	}
}

// options of the attacked account: passwords live for their 12 hours whatever becomes of the session, which is the worse
// of what AWS may do.
var battleground = awsemulator.Options{PasswordOutlivesSession: true}
