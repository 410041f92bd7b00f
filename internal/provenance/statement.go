package provenance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Types of what is signed: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md,
// https://slsa.dev/spec/v1.1/provenance.
const (
	payloadType   = "application/vnd.in-toto+json"
	statementType = "https://in-toto.io/Statement/v1"
	predicateType = "https://slsa.dev/provenance/v1"
)

// MaxStatementBytes limits a statement. The longest that the controller makes, with 127 layers and 32 inputs of the
// longest names, is shorter.
const MaxStatementBytes = 96 << 10

// configName is the name of the subject that is the image's configuration.
const configName = "config"

// byRunner marks what the runner stated.
const byRunner = "runner"

// statement, and the types below, are the parts of in-toto's and SLSA's types that the controller writes. The types of
// github.com/in-toto/attestation hold them in the tests: parsing with those takes many times as long, for each lookup.
type statement struct {
	Type          string      `json:"_type"`
	Subject       descriptors `json:"subject"`
	PredicateType string      `json:"predicateType"`
	Predicate     predicate   `json:"predicate"`
}

// descriptors are the JSON of a list of descriptors. Parsing them takes as long as parsing the rest, and a lookup needs
// none.
type descriptors = json.RawMessage

type descriptor struct {
	Name        string                 `json:"name,omitempty"`
	Digest      digestSet              `json:"digest,omitzero"`
	Annotations *dependencyAnnotations `json:"annotations,omitempty"`
}

// digestSet is in-toto's form of a digest. The cache takes no algorithm but SHA-256.
type digestSet struct {
	SHA256 string `json:"sha256,omitempty"`
}

const sha256Prefix = "sha256:"

func digestSetOf(digest string) digestSet {
	return digestSet{SHA256: strings.TrimPrefix(digest, sha256Prefix)}
}

// String returns the digest as registries write it, such as sha256:4f3c….
func (d digestSet) String() string { return sha256Prefix + d.SHA256 }

// dependencyAnnotations are the annotations of a resolved dependency.
type dependencyAnnotations struct {
	StatedBy string `json:"statedBy"`
}

type predicate struct {
	BuildDefinition buildDefinition `json:"buildDefinition"`
	RunDetails      runDetails      `json:"runDetails"`
}

type buildDefinition struct {
	BuildType            string             `json:"buildType"`
	ExternalParameters   externalParameters `json:"externalParameters"`
	InternalParameters   internalParameters `json:"internalParameters"`
	ResolvedDependencies descriptors        `json:"resolvedDependencies,omitempty"`
}

// externalParameters are what a verifier compares.
type externalParameters struct {
	Repository  string `json:"repository"`
	Hash        string `json:"hash"`
	HashVersion int    `json:"hashVersion"`
	Platform    string `json:"platform"`
}

type internalParameters struct {
	RequestUID     string       `json:"requestUID"`
	Unsigned       string       `json:"unsignedManifest"`
	Cluster        string       `json:"cluster,omitempty"`
	Namespace      string       `json:"namespace,omitempty"`
	Project        string       `json:"project,omitempty"`
	Request        string       `json:"request,omitempty"`
	Trigger        string       `json:"trigger,omitempty"`
	LayersSince    *time.Time   `json:"layersSince,omitempty"`
	Service        string       `json:"service,omitempty"`
	Checked        []string     `json:"checkedByManager"`
	StatedByRunner statedInside `json:"statedByRunner"`
}

type statedInside struct {
	Environment  string `json:"environment,omitempty"`
	KeyCoverage  string `json:"keyCoverage,omitempty"`
	BuildSeconds int64  `json:"buildSeconds"`
}

type runDetails struct {
	Builder  builder  `json:"builder"`
	Metadata metadata `json:"metadata"`
}

type builder struct {
	ID      string            `json:"id"`
	Version map[string]string `json:"version,omitempty"`
}

type metadata struct {
	InvocationID string     `json:"invocationId"`
	StartedOn    *time.Time `json:"startedOn,omitempty"`
	FinishedOn   *time.Time `json:"finishedOn,omitempty"`
}

// ForImage returns the statement that goes into an image's own manifest. Its subjects are the configuration and the
// layers: a manifest can't contain its own digest.
func ForImage(record *Record) ([]byte, error) {
	subjects := []descriptor{{Name: configName, Digest: digestSetOf(record.Config)}}
	for n, layer := range record.Layers {
		subjects = append(subjects, descriptor{Name: fmt.Sprintf("layer/%d", n+1), Digest: digestSetOf(layer)})
	}
	return encode(record, subjects)
}

// ForManifest returns the same statement about an image's manifest, for a referrer of the image. name is the image's
// repository, as a client names it. A lookup never accepts such a statement.
func ForManifest(record *Record, name, manifestDigest string) ([]byte, error) {
	return encode(record, []descriptor{{Name: name, Digest: digestSetOf(manifestDigest)}})
}

func encode(record *Record, subjects []descriptor) ([]byte, error) {
	var inputs []descriptor
	for _, input := range record.Stated.Inputs {
		inputs = append(inputs, descriptor{
			Name: input.Name, Digest: digestSetOf(input.Digest), Annotations: &dependencyAnnotations{StatedBy: byRunner},
		})
	}
	definition := definitionOf(record)
	subject, err := json.Marshal(subjects)
	if err == nil && len(inputs) > 0 {
		definition.ResolvedDependencies, err = json.Marshal(inputs)
	}
	if err != nil {
		return nil, fmt.Errorf("write provenance: %w", err)
	}
	content, err := json.Marshal(statement{
		Type: statementType, Subject: subject, PredicateType: predicateType,
		Predicate: predicate{BuildDefinition: definition, RunDetails: detailsOf(record)},
	})
	if err != nil {
		return nil, fmt.Errorf("write provenance: %w", err)
	}
	if len(content) > MaxStatementBytes {
		return nil, fmt.Errorf("write provenance: it has %d bytes; the limit is %d", len(content), MaxStatementBytes)
	}
	return content, nil
}

func definitionOf(record *Record) buildDefinition {
	stated := record.Stated
	return buildDefinition{
		BuildType: BuildType,
		ExternalParameters: externalParameters{
			Repository: record.RepositoryARN, Hash: record.Hash, HashVersion: record.HashVersion, Platform: record.Platform,
		},
		InternalParameters: internalParameters{
			RequestUID: record.RequestUID, Unsigned: record.UnsignedManifest, Cluster: record.Cluster,
			Namespace: record.Namespace, Project: record.Project, Request: record.Request,
			Trigger: record.Trigger, Service: record.Service, Checked: checked,
			LayersSince: timeOf(record.LayersSince),
			StatedByRunner: statedInside{
				Environment: stated.Environment, KeyCoverage: stated.KeyCoverage, BuildSeconds: stated.BuildSeconds,
			},
		},
	}
}

func detailsOf(record *Record) runDetails {
	details := runDetails{
		Builder:  builder{ID: BuilderID},
		Metadata: metadata{InvocationID: record.RequestUID},
	}
	if record.Version != "" {
		details.Builder.Version = map[string]string{"manager": record.Version}
	}
	details.Metadata.StartedOn, details.Metadata.FinishedOn = timeOf(record.StartedAt), timeOf(record.FinishedAt)
	return details
}

func timeOf(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	whole := at.UTC().Truncate(time.Second)
	return &whole
}

var errNotOurs = errors.New("the signed statement is not one of the cache about an image")

// ofImage is how the subjects of a statement of ForImage begin.
var ofImage = []byte(`[{"name":"` + configName + `",`)

// decode reads a statement of ForImage, less Config, Layers and Stated.Inputs. The caller has verified its signature.
func decode(content []byte) (*Record, error) {
	var s statement
	if err := json.Unmarshal(content, &s); err != nil {
		return nil, errNotOurs
	}
	definition, details := s.Predicate.BuildDefinition, s.Predicate.RunDetails
	if s.Type != statementType || s.PredicateType != predicateType || definition.BuildType != BuildType ||
		details.Builder.ID != BuilderID || !bytes.HasPrefix(s.Subject, ofImage) {
		return nil, errNotOurs
	}
	outside, inside := definition.ExternalParameters, definition.InternalParameters
	return &Record{
		Claims: Claims{
			RepositoryARN: outside.Repository, Hash: outside.Hash, HashVersion: outside.HashVersion,
			Platform: outside.Platform, RequestUID: inside.RequestUID, UnsignedManifest: inside.Unsigned,
		},
		Build: Build{
			Version: details.Builder.Version["manager"], Cluster: inside.Cluster, Namespace: inside.Namespace,
			Project: inside.Project, Request: inside.Request, Trigger: inside.Trigger, Service: inside.Service,
			StartedAt: atTime(details.Metadata.StartedOn), FinishedAt: atTime(details.Metadata.FinishedOn),
			LayersSince: atTime(inside.LayersSince),
			Stated: Stated{
				Environment: inside.StatedByRunner.Environment, KeyCoverage: inside.StatedByRunner.KeyCoverage,
				BuildSeconds: inside.StatedByRunner.BuildSeconds,
			},
		},
	}, nil
}

// whole returns a record that decode read from a statement, with all that it lacks.
func (r *Record) whole(content []byte) (*Record, error) {
	var s statement
	var subjects, inputs []descriptor
	err := json.Unmarshal(content, &s)
	if err == nil {
		err = json.Unmarshal(s.Subject, &subjects)
	}
	if list := s.Predicate.BuildDefinition.ResolvedDependencies; err == nil && list != nil {
		err = json.Unmarshal(list, &inputs)
	}
	if err != nil || len(subjects) == 0 {
		return nil, errNotOurs
	}
	record := *r
	record.Config = subjects[0].Digest.String()
	for _, layer := range subjects[1:] {
		record.Layers = append(record.Layers, layer.Digest.String())
	}
	for _, input := range inputs {
		record.Stated.Inputs = append(record.Stated.Inputs, Input{Name: input.Name, Digest: input.Digest.String()})
	}
	return &record, nil
}

func atTime(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return *at
}
