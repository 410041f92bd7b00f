package localcluster

import (
	"context"
	"fmt"
	"path/filepath"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"
)

// writeKubeconfig writes a kubeconfig for a token of the cluster, and returns its path.
func (c *Cluster) writeKubeconfig(name, token, namespace string) (string, error) {
	config := clientcmdapi.NewConfig()
	config.Clusters["local"] = &clientcmdapi.Cluster{Server: c.kubernetes.admin.Host, CertificateAuthorityData: c.kubernetes.admin.CAData}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts["local"] = &clientcmdapi.Context{Cluster: "local", AuthInfo: name, Namespace: namespace}
	config.CurrentContext = "local"
	path := filepath.Join(c.dir, name+".kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return "", fmt.Errorf("write kubeconfig: %w", err)
	}
	return path, nil
}

// ServiceAccountKubeconfig writes a kubeconfig with which its reader is a service account, and returns its path. The
// token lasts for a day.
func (c *Cluster) ServiceAccountKubeconfig(ctx context.Context, namespace, account string) (string, error) {
	token, err := c.ServiceAccountToken(ctx, namespace, account)
	if err != nil {
		return "", err
	}
	return c.writeKubeconfig(namespace+"-"+account, token, namespace)
}

// ServiceAccountToken returns a token of a service account, which lasts for a day.
func (c *Cluster) ServiceAccountToken(ctx context.Context, namespace, account string) (string, error) {
	clients, err := kubernetes.NewForConfig(c.kubernetes.admin)
	if err != nil {
		return "", fmt.Errorf("make client: %w", err)
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](24 * 60 * 60)}}
	token, err := clients.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("get token of service account %s/%s: %w", namespace, account, err)
	}
	return token.Status.Token, nil
}
