{{/* Every name of this chart is RELEASE-part. */}}

{{- define "assay.labels" -}}
app.kubernetes.io/name: assay
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels that select training pods; never those that change with a version. */}}
{{- define "assay.trainSelector" -}}
app.kubernetes.io/name: assay
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: train
{{- end }}

{{/* Pods of Pipelines' steps have no mesh sidecar (Pipelines sees to it); ours must not either: a Job whose sidecar runs on never
ends, and in a namespace of a Kubeflow profile every pod gets one that does not refuse it. */}}
{{- define "assay.noSidecar" -}}
sidecar.istio.io/inject: "false"
{{- end }}

{{/* Fail in words when a CustomResourceDefinition is missing: (list . "group/version" "what brings it" "value to turn off"). */}}
{{- define "assay.needs" -}}
{{- $context := index . 0 -}}
{{- if not ($context.Capabilities.APIVersions.Has (index . 1)) -}}
{{- fail (printf "\n\n%s: this cluster does not know %s. Install %s first, or set %s=false. (helm template: add --api-versions %s)\n" (index . 3) (index . 1) (index . 2) (index . 3) (index . 1)) -}}
{{- end -}}
{{- end }}

{{/* The profile of system calls: the runtime's default, or one of the node's own. */}}
{{- define "assay.seccomp" -}}
seccompProfile:
{{- with .Values.security.seccompProfile }}
  type: Localhost
  localhostProfile: {{ . }}
{{- else }}
  type: RuntimeDefault
{{- end }}
{{- end }}

{{/* `restricted` Pod Security: the pod's half and the container's half. */}}
{{- define "assay.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .Values.security.runAsUser }}
runAsGroup: {{ .Values.security.runAsGroup }}
fsGroup: {{ .Values.security.fsGroup }}
fsGroupChangePolicy: OnRootMismatch
{{ include "assay.seccomp" . }}
{{- end }}

{{- define "assay.containerSecurity" -}}
runAsNonRoot: true
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{ include "assay.seccomp" . }}
{{- end }}

{{/* Name of the claim of the model cache; empty without one. */}}
{{- define "assay.modelClaim" -}}
{{- if .Values.modelCache.enabled -}}
{{ .Values.modelCache.existingClaim | default (printf "%s-model-cache" .Release.Name) }}
{{- end -}}
{{- end }}

{{/* Plain variables of every step as YAML: those of the values, and where metrics go. */}}
{{- define "assay.environment" -}}
{{- $all := deepCopy .Values.environment -}}
{{- with .Values.metrics.pushgateway.url -}}
{{- $_ := set $all "ASSAY_PUSHGATEWAY" . -}}
{{- end -}}
{{- toYaml $all -}}
{{- end }}

{{/* The same and the secrets by name, as a container's `env`. */}}
{{- define "assay.env" -}}
{{- range $name, $value := include "assay.environment" . | fromYaml }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- range $secret := .Values.secrets }}
{{- range $name, $key := $secret.keys }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $secret.name }}
      key: {{ $key }}
      optional: {{ $secret.optional | default false }}
{{- end }}
{{- end }}
{{- end }}

{{/* The cluster profile: what `--profile` reads. */}}
{{- define "assay.profile" -}}
{{- $cluster := dict "namespace" .Release.Namespace "service_account" (printf "%s-run" .Release.Name) -}}
{{- $_ := set $cluster "host" .Values.pipelines.host -}}
{{- $images := dict -}}
{{- range $role := list "cpu" "train" "infer" -}}
{{- with index $.Values.images $role -}}
{{- $_ := set $images $role . -}}
{{- end -}}
{{- end -}}
{{- $_ := set $cluster "images" $images -}}
{{- $_ := set $cluster "image_pull_secret" .Values.images.pullSecret -}}
{{- $_ := set $cluster "environment" (include "assay.environment" . | fromYaml) -}}
{{- $secrets := list -}}
{{- range .Values.secrets -}}
{{- $secrets = append $secrets (dict "name" .name "keys" .keys "optional" (.optional | default false)) -}}
{{- end -}}
{{- $_ := set $cluster "secrets" $secrets -}}
{{- with include "assay.modelClaim" . -}}
{{- $_ := set $cluster "model_cache" (dict "claim" . "path" $.Values.modelCache.path) -}}
{{- end -}}
{{- $_ := set $cluster "pods" .Values.profile.pods -}}
{{- $_ := set $cluster "training" (merge (dict "runtime" (printf "%s-train" .Release.Name)) .Values.profile.training) -}}
{{- $_ := set $cluster "fan_out" .Values.profile.fan_out -}}
{{- toYaml (dict "root" .Values.root "runtime" .Values.profile.runtime "cluster" $cluster) -}}
{{- end }}

{{/* Egress to CIDRs: a dict of cidrs, except, ports. An exception applies where it lies inside the CIDR: /0 alone. */}}
{{- define "assay.egress" -}}
- to:
    {{- range $cidr := .cidrs }}
    - ipBlock:
        cidr: {{ $cidr }}
        {{- if and $.except (hasSuffix "/0" $cidr) }}
        except: {{ toJson $.except }}
        {{- end }}
    {{- end }}
  ports:
    {{- range .ports }}
    - port: {{ . }}
      protocol: TCP
    {{- end }}
{{- end }}
