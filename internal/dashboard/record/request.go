// Package record holds what the dashboard keeps of a request in memory: what lists, sums and lines of a table show. The
// cluster may hold a hundred thousand requests. It is pure.
package record

import (
	"time"
	"unique"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/catalog"
)

// Request is the part of a DevcontainerImage that is kept. It is never changed after it was made.
type Request struct {
	Namespace, Name, Project, Environment string
	Trigger                               v1alpha1.Trigger
	Result                                v1alpha1.CacheResult
	Role                                  v1alpha1.Role
	// Reason is why the answer is what it is, and State the reason of the condition Ready.
	Reason, State string
	Hash          string
	// Builder is the request that builds the hash, if it is another one.
	Builder string
	// Created is when the environment asked, and Finished when the request ended; zero if it did not yet.
	Created, Finished time.Time
	Ready, Pulled     bool
	Published         bool
	// SavedSeconds are those of an image that was pulled, and BuildSeconds those of a build that was reported.
	SavedSeconds, BuildSeconds int64
}

// Of returns what is kept of a request.
func Of(request *v1alpha1.DevcontainerImage) *Request {
	spec, status := &request.Spec, &request.Status
	kept := &Request{
		Namespace: intern(request.Namespace), Name: request.Name, Environment: spec.EnvironmentID,
		Trigger: unique.Make(spec.Trigger).Value(), Result: unique.Make(status.CacheResult).Value(),
		Role: unique.Make(status.Role).Value(), Reason: intern(status.Reason), Hash: intern(status.ConfigHash),
		Created: request.CreationTimestamp.Time, Published: catalog.Published(request), Pulled: catalog.Pulled(request),
	}
	if spec.ProjectRef != nil {
		kept.Project = intern(spec.ProjectRef.Name)
	}
	if ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady); ready != nil {
		kept.State, kept.Ready = intern(ready.Reason), ready.Status == metav1.ConditionTrue
	}
	if builder := status.Builder; builder != nil && builder.Name != request.Name {
		kept.Builder = intern(builder.Name)
	}
	if status.FinishedAt != nil {
		kept.Finished = status.FinishedAt.Time
	}
	if status.SavedSeconds != nil && kept.Pulled {
		kept.SavedSeconds = *status.SavedSeconds
	}
	if spec.Build != nil && spec.Build.DurationSeconds != nil {
		kept.BuildSeconds = *spec.Build.DurationSeconds
	}
	return kept
}

// IsLive reports whether the request is not finished.
func (r *Request) IsLive() bool { return r.Finished.IsZero() }

// intern returns a text that all requests share, because most requests have the same ones.
func intern(text string) string { return unique.Make(text).Value() }
