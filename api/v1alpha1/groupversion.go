package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	// GroupVersion is the API group and version of all kinds in this package.
	GroupVersion = schema.GroupVersion{Group: "imagecache.dev", Version: "v1alpha1"}

	// SchemeGroupVersion is GroupVersion under the name that generated code expects.
	SchemeGroupVersion = GroupVersion

	schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme registers the kinds of this package.
	AddToScheme = schemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&RunnerImageCache{}, &RunnerImageCacheList{},
		&ProjectImageCache{}, &ProjectImageCacheList{},
		&DevcontainerImage{}, &DevcontainerImageList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
