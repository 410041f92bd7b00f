package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ProjectReference names a ProjectImageCache in the same namespace.
type ProjectReference struct {
	// name is the ProjectImageCache's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`
}

// RunnerReference names a RunnerImageCache in the same namespace.
type RunnerReference struct {
	// name is the RunnerImageCache's name.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`
}

// CredentialReference names a Secret with registry credentials (kubernetes.io/dockerconfigjson).
type CredentialReference struct {
	// secretName is the name of the Secret, in the object's namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName,omitempty"`

	// expiresAt is when the Secret's password stops working.
	// +required
	ExpiresAt metav1.Time `json:"expiresAt,omitempty,omitzero"`
}
