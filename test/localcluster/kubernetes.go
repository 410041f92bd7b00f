package localcluster

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// kubernetesProcesses are an etcd and a kube-apiserver on loopback, without nodes or controllers.
type kubernetesProcesses struct {
	etcd      *process
	apiServer *process
	admin     *rest.Config
}

// startKubernetes runs etcd and kube-apiserver from the folder assets, with their state in dir.
func startKubernetes(ctx context.Context, assets, dir string) (*kubernetesProcesses, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	k := &kubernetesProcesses{}
	client, peer := "http://127.0.0.1:"+ports[0], "http://127.0.0.1:"+ports[1]
	k.etcd, err = start(dir, "etcd", nil, filepath.Join(assets, "etcd"),
		"--data-dir", filepath.Join(dir, "etcd"), "--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer,
		"--unsafe-no-fsync", "--log-level", "warn")
	if err != nil {
		return nil, err
	}
	if err := k.startAPIServer(ctx, assets, dir, client, ports[2]); err != nil {
		k.stop()
		return nil, err
	}
	return k, nil
}

func (k *kubernetesProcesses) startAPIServer(ctx context.Context, assets, dir, etcd, port string) error {
	key, err := writeSigningKey(filepath.Join(dir, "service-accounts.key"))
	if err != nil {
		return err
	}
	token, tokens, err := writeAdminToken(filepath.Join(dir, "tokens.csv"))
	if err != nil {
		return err
	}
	certificates := filepath.Join(dir, "certificates")
	k.apiServer, err = start(dir, "kube-apiserver", nil, filepath.Join(assets, "kube-apiserver"),
		"--etcd-servers", etcd, "--bind-address", "127.0.0.1", "--secure-port", port, "--cert-dir", certificates,
		"--authorization-mode", "RBAC", "--token-auth-file", tokens, "--anonymous-auth=false",
		"--service-account-issuer", "https://localhost", "--service-account-key-file", key,
		"--service-account-signing-key-file", key, "--service-cluster-ip-range", "10.0.0.0/24",
		"--disable-admission-plugins", "ServiceAccount", "--allow-privileged=true")
	if err != nil {
		return err
	}
	k.admin = &rest.Config{Host: "https://127.0.0.1:" + port, BearerToken: token, QPS: -1}
	return k.apiServer.until(ctx, func(ctx context.Context) error {
		authority, err := os.ReadFile(filepath.Join(certificates, "apiserver.crt"))
		if err != nil {
			return fmt.Errorf("read the API server's certificate: %w", err)
		}
		k.admin.CAData = authority
		clients, err := kubernetes.NewForConfig(k.admin)
		if err != nil {
			return fmt.Errorf("make client: %w", err)
		}
		return clients.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	})
}

func (k *kubernetesProcesses) stop() {
	k.apiServer.stop()
	k.etcd.stop()
}

// freePorts finds TCP ports on loopback that nobody listens on.
func freePorts(n int) ([]string, error) {
	var ports []string
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer listener.Close() // only at the end, so that no port comes twice
		ports = append(ports, strconv.Itoa(listener.Addr().(*net.TCPAddr).Port))
	}
	return ports, nil
}

// writeSigningKey makes the key that service account tokens are signed with.
func writeSigningKey(path string) (string, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return "", fmt.Errorf("make signing key: %w", err)
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		return "", fmt.Errorf("write signing key: %w", err)
	}
	return path, nil
}

// writeAdminToken makes a token of a member of system:masters.
func writeAdminToken(path string) (token, file string, err error) {
	random := make([]byte, 16)
	if _, err := rand.Read(random); err != nil {
		return "", "", fmt.Errorf("make token: %w", err)
	}
	token = hex.EncodeToString(random)
	if err := os.WriteFile(path, []byte(token+`,admin,admin,"system:masters"`+"\n"), 0o600); err != nil {
		return "", "", fmt.Errorf("write token: %w", err)
	}
	return token, path, nil
}
