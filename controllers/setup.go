package controllers

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"imagecache.dev/controllers/attachment"
	"imagecache.dev/controllers/awstarget"
	"imagecache.dev/controllers/census"
	"imagecache.dev/controllers/devcontainerimage"
	"imagecache.dev/controllers/eviction"
	"imagecache.dev/controllers/indexes"
	"imagecache.dev/controllers/inputs"
	"imagecache.dev/controllers/projectimagecache"
	"imagecache.dev/controllers/pullcredentials"
	"imagecache.dev/controllers/runnerimagecache"
	"imagecache.dev/controllers/schedule"
	"imagecache.dev/controllers/signingkeys"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/kms"
	"imagecache.dev/internal/provenance"
	"imagecache.dev/internal/sts"
)

// +kubebuilder:rbac:groups="",resources=namespaces,resourceNames=kube-system,verbs=get
// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create

// Intervals are how often AWS is read although nothing in the cluster changed. Zero means the default interval.
type Intervals = schedule.Intervals

// Settings are the operator's settings of the controllers.
type Settings struct {
	// ClusterUID distinguishes this cluster's repositories from another's. By default it is the UID of the namespace
	// kube-system.
	ClusterUID string
	// PricePerGBMonth is ECR's storage price in US dollars, for the estimated cost.
	PricePerGBMonth float64
	// AssumeRoles are the roles that each namespace may name in assumeRoleARN, as namespace=ARN. The namespace *
	// stands for any namespace.
	AssumeRoles []string
	// BuildLease is how long a builder keeps its lease without renewing it. Zero means 45 s.
	BuildLease time.Duration
	// Namespace is the manager's own namespace, which holds the Secret of the signing keys. By default it is the pod's,
	// and outside of a pod imagecache-system.
	Namespace string
	// SigningKey is the address of a key of AWS KMS that signs images, as awskms:///KEY. Empty means a key in the
	// Secret.
	SigningKey string
	// Clock is the source of time for all decisions. Nil means the real clock.
	Clock clock.PassiveClock
	// Intervals are how often AWS is read.
	Intervals Intervals

	inputs *inputs.Memory // what the manager's cache leaves out, if it has the options of CacheOptions
}

// BindFlags defines the flags of the settings.
func (s *Settings) BindFlags(flags *pflag.FlagSet) {
	flags.StringVar(&s.ClusterUID, "cluster-uid", "", "name of this cluster in the owner tag of repositories; by default the UID of the namespace kube-system")
	flags.Float64Var(&s.PricePerGBMonth, "price-per-gb-month", 0.10, "ECR's storage price in US dollars, for the estimated cost of a project")
	flags.DurationVar(&s.BuildLease, "build-lease", devcontainerimage.DefaultBuildLease, "how long a builder may go without renewing its lease before another environment builds")
	flags.StringVar(&s.Namespace, "namespace", "", "the manager's own namespace, which holds the Secret of the signing keys; by default the pod's, and outside of a pod imagecache-system")
	flags.StringVar(&s.SigningKey, "signing-key", "", "key of AWS KMS that signs images, as awskms:///KEY, where KEY is an ID, an ARN or alias/NAME; by default a key that the manager creates in the Secret imagecache-signing-keys")
	flags.StringSliceVar(&s.AssumeRoles, "allow-assume-role", nil, "role that the runners of a namespace may name in assumeRoleARN, as NAMESPACE=ARN; the namespace * stands for any namespace; can be repeated")
}

// Setup registers the indexes and all reconcilers with a manager.
func Setup(ctx context.Context, mgr ctrl.Manager, s Settings) error {
	if s.Clock == nil {
		s.Clock = clock.RealClock{}
	}
	if s.inputs == nil {
		s.inputs = inputs.New()
	}
	intervals := s.Intervals.WithDefaults()
	if s.ClusterUID == "" {
		uid, err := clusterUID(ctx, mgr.GetAPIReader())
		if err != nil {
			return err
		}
		s.ClusterUID = uid
	}
	provider, err := aws.NewProvider(ctx, aws.Options{UserAgent: "imagecache", Registerer: metrics.Registry})
	if err != nil {
		return fmt.Errorf("read AWS settings: %w", err)
	}
	if err := indexes.Register(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	allowed, err := awstarget.ParseAllowedRoles(s.AssumeRoles)
	if err != nil {
		return fmt.Errorf("--allow-assume-role: %w", err)
	}
	targets, census := awstarget.New(provider, s.Clock, allowed), census.New(s.Clock)
	if err := census.Follow(ctx, mgr); err != nil {
		return err
	}
	census.Serve(mgr.Elected(), s.PricePerGBMonth)
	awsClock := provider.Clock(s.Clock)
	keys, err := setupKeys(mgr, provider, s)
	if err != nil {
		return err
	}
	granter, recorder := sts.NewGranter(provider), mgr.GetEventRecorder("imagecache")
	runners := &runnerimagecache.Reconciler{
		Client: mgr.GetClient(), AWS: provider, Granter: granter, Recorder: recorder, Clock: s.Clock,
		ClusterUID: s.ClusterUID, AllowedRoles: allowed, Intervals: intervals, Keys: keys,
	}
	err = mgr.Add(&awstarget.Sweep{
		Client: mgr.GetClient(), Every: intervals.Drift,
		Keep: []func(map[aws.Target]bool){targets.Keep, runners.Keep},
	})
	if err != nil {
		return fmt.Errorf("set up the sweep of targets: %w", err)
	}
	for _, reconciler := range []interface{ SetupWithManager(ctrl.Manager) error }{
		runners,
		&projectimagecache.Reconciler{
			Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: recorder, Clock: s.Clock, AWSClock: awsClock,
			ClusterUID: s.ClusterUID, PricePerGBMonth: s.PricePerGBMonth, Intervals: intervals, Targets: targets,
		},
		&pullcredentials.Reconciler{
			Client: mgr.GetClient(), Granter: granter, Recorder: recorder, Clock: awsClock, Targets: targets,
		},
		&attachment.Reconciler{Client: mgr.GetClient(), Recorder: recorder, Clock: s.Clock, Targets: targets, Keys: keys},
		&eviction.Reconciler{Client: mgr.GetClient(), Recorder: recorder, Targets: targets},
		&devcontainerimage.Reconciler{
			Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Granter: granter, Recorder: recorder, Clock: s.Clock,
			AWSClock: awsClock, BuildLease: s.BuildLease, Targets: targets, Census: census, Keys: keys, ClusterUID: s.ClusterUID,
			Inputs: s.inputs,
		},
	} {
		if err := reconciler.SetupWithManager(mgr); err != nil {
			return err
		}
	}
	return nil
}

// setupKeys registers what keeps the signing keys.
func setupKeys(mgr ctrl.Manager, provider *aws.Provider, s Settings) (*signingkeys.Keys, error) {
	reconciler := &signingkeys.Reconciler{Client: mgr.GetClient(), Namespace: s.Namespace, Keys: signingkeys.New(nil)}
	if reconciler.Namespace == "" {
		reconciler.Namespace = ownNamespace()
	}
	if s.SigningKey != "" {
		key, err := kms.ParseKey(s.SigningKey)
		if err != nil {
			return nil, fmt.Errorf("--signing-key: %w", err)
		}
		clients := provider.Clients(aws.Target{Region: key.Region})
		reconciler.Remote = func(ctx context.Context) (provenance.Signer, error) { return kms.NewSigner(ctx, clients, key) }
	}
	return reconciler.Keys, reconciler.SetupWithManager(mgr)
}

// namespaceFile is where Kubernetes writes a pod's namespace.
const namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"

// ownNamespace returns the pod's namespace, or outside of a pod the namespace of config/default, so that a manager on a
// developer's machine has the keys of the cluster's manager.
func ownNamespace() string {
	if content, err := os.ReadFile(namespaceFile); err == nil && len(content) > 0 {
		return strings.TrimSpace(string(content))
	}
	return "imagecache-system"
}

// clusterUID returns the UID of the namespace kube-system, which identifies this cluster.
func clusterUID(ctx context.Context, live client.Reader) (string, error) {
	namespace := &corev1.Namespace{}
	if err := live.Get(ctx, types.NamespacedName{Name: "kube-system"}, namespace); err != nil {
		return "", fmt.Errorf("read the namespace kube-system for the cluster's identity (or set --cluster-uid): %w", err)
	}
	return string(namespace.UID), nil
}
