{{- define "ocrvl.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 45 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 45 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "ocrvl.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- /* Of the pods that answer requests: the server's, and of an engine over several machines its first. */ -}}
{{- define "ocrvl.serverSelector" -}}
{{ include "ocrvl.selector" . }}
app.kubernetes.io/component: server
{{- end -}}

{{- define "ocrvl.labels" -}}
{{ include "ocrvl.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "ocrvl.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "ocrvl.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "ocrvl.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}

{{- define "ocrvl.cacheClaim" -}}
{{ .Values.modelCache.existingClaim | default (printf "%s-models" (include "ocrvl.fullname" .)) }}
{{- end -}}

{{- /* Whether the checkpoint is fetched from a hub: a name of the form owner/name. */ -}}
{{- define "ocrvl.fromHub" -}}
{{- if and (ne .Values.modelCache.mode "none") (regexMatch "^[^./~][^/]*/[^/]+$" .Values.checkpoint) -}}yes{{- end -}}
{{- end -}}

{{- /* Images that the engines of one pod read at a time. */ -}}
{{- define "ocrvl.imagesPerPod" -}}
{{- if eq .Values.parallel "tensor" -}}
{{ int .Values.maxNumSeqs }}
{{- else -}}
{{ mul (int .Values.maxNumSeqs) (int .Values.gpus) (int .Values.enginesPerGpu) }}
{{- end -}}
{{- end -}}

{{- /* Of these, what one pod should have at most, on the average. */ -}}
{{- define "ocrvl.targetImages" -}}
{{ max 1 (floor (mulf (include "ocrvl.imagesPerPod" . | int) .Values.autoscaling.targetUtilization) | int) }}
{{- end -}}

{{- /* How an autoscaler moves: up at once, down one by one (docs/autoscaling.md). */ -}}
{{- define "ocrvl.scalingBehavior" -}}
{{- with .Values.autoscaling.scaleUp -}}
scaleUp:
  stabilizationWindowSeconds: {{ .stabilizationSeconds }}
  selectPolicy: Max
  policies:
    - {type: Pods, value: {{ .pods }}, periodSeconds: {{ .periodSeconds }}}
    - {type: Percent, value: {{ .percent }}, periodSeconds: {{ .periodSeconds }}}
{{ end -}}
{{- with .Values.autoscaling.scaleDown -}}
scaleDown:
  stabilizationWindowSeconds: {{ .stabilizationSeconds }}
  policies:
    - {type: Pods, value: {{ .pods }}, periodSeconds: {{ .periodSeconds }}}
{{- end -}}
{{- end -}}

{{- /* Where names are looked up. */ -}}
{{- define "ocrvl.dnsEgress" -}}
{{- with .Values.networkPolicy.dns -}}
- to: {{ toYaml . | nindent 4 }}
  ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
{{- end -}}
{{- end -}}

{{- /* What values cannot mean together; the schema cannot say these. */ -}}
{{- define "ocrvl.check" -}}
{{- if and (gt (int .Values.enginesPerGpu) 1) (or (ne .Values.parallel "data") (ne .Values.device "gpu")) -}}
{{- fail "enginesPerGpu: several engines on a GPU are for parallel: data and device: gpu; set enginesPerGpu: 1" -}}
{{- end -}}
{{- if and (eq .Values.workload "leaderworkerset") (ne .Values.parallel "tensor") -}}
{{- fail "workload: leaderworkerset is one engine over several machines, which is tensor parallel; set parallel: tensor, or workload: deployment" -}}
{{- end -}}
{{- if and (eq .Values.workload "leaderworkerset") (ne .Values.device "gpu") -}}
{{- fail "workload: leaderworkerset is for GPUs; set device: gpu" -}}
{{- end -}}
{{- if and (ne .Values.workload "deployment") (ne .Values.autoscaling.kind "none") -}}
{{- fail (printf "autoscaling.kind: %s is for workload: deployment; set it to none" .Values.autoscaling.kind) -}}
{{- end -}}
{{- if gt (int .Values.autoscaling.min) (int .Values.autoscaling.max) -}}
{{- fail "autoscaling.min: more than autoscaling.max" -}}
{{- end -}}
{{- if and (eq .Values.modelCache.mode "existingClaim") (not .Values.modelCache.existingClaim) -}}
{{- fail "modelCache.existingClaim: name the claim, or set modelCache.mode to claim" -}}
{{- end -}}
{{- if and (eq .Values.workload "kserve") .Values.tls.secretName -}}
{{- fail "tls: KServe's own ingress has it; unset tls.secretName for workload: kserve" -}}
{{- end -}}
{{- if and .Values.tls.mutual (not .Values.tls.secretName) -}}
{{- fail "tls.mutual: set tls.secretName" -}}
{{- end -}}
{{- if and .Values.gateway.enabled .Values.tls.mutual -}}
{{- fail "gateway.enabled: give the gateway a certificate of its own by gateway.env and a volume of another release; with tls.mutual this chart has none for it" -}}
{{- end -}}
{{- if .Values.receipts.enabled -}}
{{- if not .Values.receipts.brokers -}}
{{- fail "receipts.brokers: name Kafka's brokers" -}}
{{- end -}}
{{- if not (has "receipt" .Values.interfaces) -}}
{{- fail "receipts.enabled: the workers need the model receipt; add receipt to interfaces" -}}
{{- end -}}
{{- if lt (int .Values.receipts.worker.window) (int .Values.receipts.worker.concurrency) -}}
{{- fail "receipts.worker.window: less than receipts.worker.concurrency" -}}
{{- end -}}
{{- if .Values.tls.mutual -}}
{{- fail "receipts.enabled: with tls.mutual this chart has no certificate for the workers; give them one by receipts.env in another release" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.grpcRoute.enabled (not .Values.grpcRoute.parentRefs) -}}
{{- fail "grpcRoute.parentRefs: name the Gateway" -}}
{{- end -}}
{{- end -}}
