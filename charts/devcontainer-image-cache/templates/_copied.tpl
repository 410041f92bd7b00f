{{/*
The objects of files/FOLDER, which "make generate" copies from config/FOLDER, with what a release changes of them: labels,
the namespace, and the service account's name.

  include "imagecache.copied" (dict "root" $ "folder" "rbac" "annotations" $annotations)

annotations are optional, for every object of the folder.
*/}}
{{- define "imagecache.copied" -}}
{{- $root := .root -}}
{{- $annotations := default dict .annotations -}}
{{- $metrics := $root.Values.metrics -}}
{{- $labels := dict "ServiceMonitor" $metrics.serviceMonitor.labels "PrometheusRule" $metrics.prometheusRule.labels -}}
{{- $files := $root.Files.Glob (printf "files/%s/*.yaml" .folder) -}}
{{- if not $files -}}
{{- fail (printf "the chart has no files/%s: run \"make generate\"" .folder) -}}
{{- end -}}
{{- range $path, $_ := $files }}
{{- range $document := regexSplit "(?m)^---\\s*$" ($root.Files.Get $path) -1 }}
{{- $object := fromYaml $document }}
{{- if and $object (include "imagecache.wanted" (dict "root" $root "object" $object)) }}
{{- $metadata := $object.metadata }}
{{- $_ := set $metadata "labels" (mergeOverwrite (default dict $metadata.labels) (include "imagecache.releaseLabels" $root | fromYaml) (default dict (get $labels $object.kind))) }}
{{- if $annotations }}
{{- $_ := set $metadata "annotations" (mergeOverwrite (default dict $metadata.annotations) $annotations) }}
{{- end }}
{{- if $metadata.namespace }}
{{- $_ := set $metadata "namespace" $root.Release.Namespace }}
{{- end }}
{{- if eq $object.kind "ServiceAccount" }}
{{- $_ := set $metadata "name" $root.Values.serviceAccount.name }}
{{- with $root.Values.serviceAccount.annotations }}
{{- $_ := set $metadata "annotations" . }}
{{- end }}
{{- end }}
{{- range $subject := default list $object.subjects }}
{{- $_ := set $subject "name" $root.Values.serviceAccount.name }}
{{- $_ := set $subject "namespace" $root.Release.Namespace }}
{{- end }}
---
{{ toYaml $object }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Empty for an object that the values leave out. */}}
{{- define "imagecache.wanted" -}}
{{- $values := .root.Values -}}
{{- if eq .object.kind "ServiceAccount" -}}
{{- if $values.serviceAccount.create }}yes{{ end -}}
{{- else if eq .object.kind "ServiceMonitor" -}}
{{- if $values.metrics.serviceMonitor.enabled }}yes{{ end -}}
{{- else if eq .object.kind "PrometheusRule" -}}
{{- if $values.metrics.prometheusRule.enabled }}yes{{ end -}}
{{- else -}}
yes
{{- end -}}
{{- end }}
