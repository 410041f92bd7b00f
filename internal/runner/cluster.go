package runner

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"imagecache.dev/api/v1alpha1"
)

// FieldManager is the field manager of what a runner writes.
const FieldManager = "imagecache-runner"

// NewClient returns a client for the kinds that a runner uses. It makes no call to the API server, because it knows
// their resources.
func NewClient(config *rest.Config) (client.WithWatch, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		v1alpha1.AddToScheme, corev1.AddToScheme, coordinationv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("make client: %w", err)
		}
	}
	mapper := meta.NewDefaultRESTMapper(nil)
	for _, kind := range []string{"RunnerImageCache", "ProjectImageCache", "DevcontainerImage"} {
		mapper.Add(v1alpha1.GroupVersion.WithKind(kind), meta.RESTScopeNamespace)
	}
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Secret"), meta.RESTScopeNamespace)
	mapper.Add(coordinationv1.SchemeGroupVersion.WithKind("Lease"), meta.RESTScopeNamespace)

	config = rest.CopyConfig(config)
	config.QPS = -1 // a handful of calls: no client-side limit
	config.WarningHandler = rest.NoWarnings{}
	config.WarningHandlerWithContext = nil
	made, err := client.NewWithWatch(config, client.Options{Scheme: scheme, Mapper: mapper, FieldOwner: FieldManager})
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return made, nil
}

// UnreachableError reports that the cluster can't be used: it does not answer, denies access, or lacks the API.
type UnreachableError struct {
	Message string
	Err     error
}

func (e *UnreachableError) Error() string { return e.Message }
func (e *UnreachableError) Unwrap() error { return e.Err }

// FindProject returns a project's cache by the object's name or the project's ID.
func FindProject(ctx context.Context, c client.Reader, namespace, project string) (*v1alpha1.ProjectImageCache, error) {
	found := &v1alpha1.ProjectImageCache{}
	err := c.Get(ctx, types.NamespacedName{Namespace: namespace, Name: project}, found)
	if err == nil {
		return found, nil
	}
	if !IsAbsent(err) && !apierrors.IsInvalid(err) {
		return nil, ClusterError(err)
	}
	list := &v1alpha1.ProjectImageCacheList{}
	if err := c.List(
		ctx, list, client.InNamespace(namespace), client.MatchingFields{"spec.projectID": project},
	); err != nil {
		return nil, ClusterError(err)
	}
	switch len(list.Items) {
	case 0:
		return nil, fmt.Errorf(
			"no project %q in namespace %s: no ProjectImageCache has this name or this projectID", project, namespace,
		)
	case 1:
		return &list.Items[0], nil
	}
	names := make([]string, 0, len(list.Items))
	for i := range list.Items {
		names = append(names, list.Items[i].Name)
	}
	return nil, fmt.Errorf(
		"project %q in namespace %s matches several objects (%s); give the name of one of them", project, namespace,
		strings.Join(names, ", "),
	)
}

// IsAbsent reports whether an object does not exist, and not its whole API.
func IsAbsent(err error) bool {
	return apierrors.IsNotFound(err) && !apiMissing(err)
}

// apiMissing reports whether the API server does not know the resource.
func apiMissing(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details == nil || details.Name == ""
}

// ClusterError describes a problem between this program and the cluster in a sentence. It returns other errors
// unchanged.
func ClusterError(err error) error {
	var address *url.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return err
	case apiMissing(err):
		return &UnreachableError{
			"the cluster does not have the API imagecache.dev/v1alpha1; install the controller first", err,
		}
	case apierrors.IsUnauthorized(err):
		return &UnreachableError{
			"the cluster does not accept these credentials; log in again, or choose others with --kubeconfig, --context or --token",
			err,
		}
	case apierrors.IsForbidden(err):
		return &UnreachableError{fmt.Sprintf("the cluster does not allow this: %v", err), err}
	case errors.As(err, &address):
		host := address.URL
		if parsed, parseErr := url.Parse(address.URL); parseErr == nil && parsed.Host != "" {
			host = parsed.Scheme + "://" + parsed.Host
		}
		return &UnreachableError{fmt.Sprintf("can't reach the cluster at %s: %s", host, rootCause(address.Err)), err}
	case errors.Is(err, context.DeadlineExceeded), isNetwork(err):
		return &UnreachableError{fmt.Sprintf("can't reach the cluster: %s", rootCause(err)), err}
	}
	return err
}

func isNetwork(err error) bool {
	var network net.Error
	return errors.As(err, &network)
}

// rootCause returns the text of the innermost error, which is the operating system's.
func rootCause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// transient reports whether a retry of a call may succeed.
func transient(err error) bool {
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return false
	case apierrors.IsTooManyRequests(err), apierrors.IsServerTimeout(err), apierrors.IsTimeout(err),
		apierrors.IsInternalError(err), apierrors.IsServiceUnavailable(err), apierrors.IsConflict(err):
		return true
	}
	var address *url.Error
	return errors.As(err, &address) || isNetwork(err) || errors.Is(err, context.DeadlineExceeded)
}

// persist retries a call while it fails transiently, until it succeeds or ctx ends. Each try has its own deadline.
func persist(ctx context.Context, call func(ctx context.Context) error) error {
	const longest = 5 * time.Second
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, longest) {
		try, cancel := context.WithTimeout(ctx, 10*time.Second)
		err := call(try)
		cancel()
		if err == nil || ctx.Err() != nil || !transient(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// create creates the request's object. If the first try's answer was lost, the second try finds the object that the
// first one created.
func create(ctx context.Context, c client.Client, object *v1alpha1.DevcontainerImage) error {
	wanted := object.DeepCopy()
	tried := false
	return persist(ctx, func(ctx context.Context) error {
		wanted.DeepCopyInto(object)
		err := c.Create(ctx, object)
		if apierrors.IsAlreadyExists(err) && tried {
			err = c.Get(ctx, client.ObjectKeyFromObject(wanted), object)
		}
		tried = true
		return err
	})
}

// selectObject selects one object for a watch, from a resource version on. An empty version means from now on.
func selectObject(key types.NamespacedName, resourceVersion string) []client.ListOption {
	return []client.ListOption{
		client.InNamespace(key.Namespace),
		client.MatchingFields{"metadata.name": key.Name},
		&client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: resourceVersion}},
	}
}
