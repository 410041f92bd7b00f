package controllers

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"imagecache.dev/controllers/awstarget"
	"imagecache.dev/controllers/census"
	"imagecache.dev/controllers/devcontainerimage"
	"imagecache.dev/controllers/eviction"
	"imagecache.dev/controllers/indexes"
	"imagecache.dev/controllers/projectimagecache"
	"imagecache.dev/controllers/pullcredentials"
	"imagecache.dev/controllers/runnerimagecache"
	"imagecache.dev/controllers/schedule"
	"imagecache.dev/internal/aws"
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
	// Clock is the source of time for all decisions. Nil means the real clock.
	Clock clock.PassiveClock
	// Intervals are how often AWS is read.
	Intervals Intervals
}

// BindFlags defines the flags of the settings.
func (s *Settings) BindFlags(flags *pflag.FlagSet) {
	flags.StringVar(&s.ClusterUID, "cluster-uid", "", "name of this cluster in the owner tag of repositories; by default the UID of the namespace kube-system")
	flags.Float64Var(&s.PricePerGBMonth, "price-per-gb-month", 0.10, "ECR's storage price in US dollars, for the estimated cost of a project")
	flags.DurationVar(&s.BuildLease, "build-lease", devcontainerimage.DefaultBuildLease, "how long a builder may go without renewing its lease before another environment builds")
	flags.StringSliceVar(&s.AssumeRoles, "allow-assume-role", nil, "role that the runners of a namespace may name in assumeRoleARN, as NAMESPACE=ARN; the namespace * stands for any namespace; can be repeated")
}

// Setup registers the indexes and all reconcilers with a manager.
func Setup(ctx context.Context, mgr ctrl.Manager, s Settings) error {
	if s.Clock == nil {
		s.Clock = clock.RealClock{}
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
	granter, recorder := sts.NewGranter(provider), mgr.GetEventRecorder("imagecache")
	for _, reconciler := range []interface{ SetupWithManager(ctrl.Manager) error }{
		&runnerimagecache.Reconciler{
			Client: mgr.GetClient(), AWS: provider, Granter: granter, Recorder: recorder, Clock: s.Clock,
			ClusterUID: s.ClusterUID, AllowedRoles: allowed, Intervals: intervals,
		},
		&projectimagecache.Reconciler{
			Client: mgr.GetClient(), Recorder: recorder, Clock: s.Clock,
			ClusterUID: s.ClusterUID, PricePerGBMonth: s.PricePerGBMonth, Intervals: intervals, Targets: targets,
		},
		&pullcredentials.Reconciler{
			Client: mgr.GetClient(), Granter: granter, Recorder: recorder, Clock: awsClock, Targets: targets,
		},
		&eviction.Reconciler{Client: mgr.GetClient(), Recorder: recorder, Targets: targets},
		&devcontainerimage.Reconciler{
			Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Granter: granter, Recorder: recorder, Clock: s.Clock,
			AWSClock: awsClock, BuildLease: s.BuildLease, Targets: targets, Census: census,
		},
	} {
		if err := reconciler.SetupWithManager(mgr); err != nil {
			return err
		}
	}
	return nil
}

// clusterUID returns the UID of the namespace kube-system, which identifies this cluster.
func clusterUID(ctx context.Context, live client.Reader) (string, error) {
	namespace := &corev1.Namespace{}
	if err := live.Get(ctx, types.NamespacedName{Name: "kube-system"}, namespace); err != nil {
		return "", fmt.Errorf("read the namespace kube-system for the cluster's identity (or set --cluster-uid): %w", err)
	}
	return string(namespace.UID), nil
}
