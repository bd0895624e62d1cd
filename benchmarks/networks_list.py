"""The networks of `coverage.py`: one of each variant family of timm's convolutional modules, the smallest (of large
families a second one), below 90 million parameters. Only sizes were left out, and transformers without convolutions.
"""

CONVOLUTIONAL = """
    bat_resnext26ts eca_resnet33ts eca_resnext26ts gcresnet33ts gcresnet50t gcresnext26ts gernet_s mobileone_s1
    mobileone_s2 regnetz_b16 regnetz_b16_evos regnetz_c16 regnetz_c16_evos regnetz_d8 regnetz_d8_evos regnetz_e8
    repvgg_a0 repvgg_b0 repvgg_b1g4 resnet32ts resnet50_clip_gap resnet50_mlp resnet50x4_clip_gap resnet51q
    resnext26ts seresnet33ts seresnext26ts test_byobnet
    convmixer_1024_20_ks9_p14 convmixer_768_32
    convnext_atto convnext_atto_ols convnext_nano convnext_pico_ols convnext_tiny_hnf convnext_zepto_rms
    convnext_zepto_rms_ols convnextv2_atto convnextv2_nano test_convnext test_convnext2
    cpubone_b0_bfrobust cpubone_b1_dwnorm cpubone_b2pt5_dwnorm cpubone_b3 cpubone_nano cpubone_s0 cpubone_t0
    csatv2 csatv2_21m
    cs3darknet_focus_l cs3darknet_focus_s cs3darknet_l cs3darknet_s cs3edgenet_x cs3se_edgenet_x cs3sedarknet_l
    cs3sedarknet_xdw cspdarknet53 cspresnet50 cspresnet50d cspresnet50w cspresnext50 darknet17 darknetaa53
    sedarknet21
    cspnext_m cspnext_tiny
    densenet121 densenet201 densenet264d densenetblur121d
    dla102 dla102x2 dla34 dla46_c dla46x_c dla60_res2net dla60_res2next dla60x
    dpn48b dpn68 dpn98
    efficientnet_b0 efficientnet_b0_g16_evos efficientnet_b0_g8_gn efficientnet_b0_gn efficientnet_b1_pruned
    efficientnet_b4 efficientnet_blur_b0 efficientnet_cc_b0_4e efficientnet_el efficientnet_el_pruned
    efficientnet_em efficientnet_es efficientnet_es_pruned efficientnet_h_b5 efficientnet_lite0
    efficientnet_lite2 efficientnetv2_rw_t efficientnetv2_s fbnetc_100 gc_efficientnetv2_rw_t mixnet_l mixnet_s
    mixnet_xxl mnasnet_050 mnasnet_100 mnasnet_small mobilenet_edgetpu_100 mobilenet_edgetpu_v2_m
    mobilenet_edgetpu_v2_xs mobilenetv1_100h mobilenetv2_035 mobilenetv2_100 mobilenetv2_110d semnasnet_050
    semnasnet_100 spnasnet_100 test_efficientnet test_efficientnet_evos test_efficientnet_gn
    test_efficientnet_ln tf_efficientnet_b0 tf_efficientnet_b4 tf_efficientnet_cc_b0_4e tf_efficientnet_el
    tf_efficientnet_em tf_efficientnet_es tf_efficientnet_lite0 tf_efficientnet_lite2 tf_efficientnetv2_b0
    tf_efficientnetv2_b2 tf_efficientnetv2_s tf_mixnet_s tinynet_a tinynet_b tinynet_c tinynet_d tinynet_e
    fasternet_s fasternet_t0
    focalnet_tiny_lrf focalnet_tiny_srf
    ghostnet_050 ghostnetv2_130 ghostnetv3_050
    hardcorenas_a hardcorenas_b hardcorenas_c hardcorenas_d hardcorenas_e hardcorenas_f
    hgnet_tiny hgnetv2_b0 hgnetv2_b3
    hrnet_w18_small hrnet_w18_small_v2 hrnet_w18_ssld hrnet_w32
    inception_next_atto inception_next_small
    inception_resnet_v2
    inception_v3
    inception_v4
    lcnetv2_small
    mambaout_base_short_rw mambaout_base_tall_rw mambaout_femto mambaout_kobe mambaout_small mambaout_small_rw
    test_mambaout
    caformer_m36 caformer_s18 convformer_m36 convformer_s18 poolformer_m36 poolformer_s12 poolformerv2_m36
    poolformerv2_s12
    fbnetv3_b fbnetv3_d fbnetv3_g lcnet_035 lcnet_075 mobilenetv3_large_150d mobilenetv3_rw
    mobilenetv3_small_050 mobilenetv3_small_100 mobilenetv4_conv_aa_large mobilenetv4_conv_aa_medium
    mobilenetv4_conv_blur_medium mobilenetv4_conv_medium mobilenetv4_conv_small mobilenetv4_conv_small_035
    mobilenetv4_hybrid_large mobilenetv4_hybrid_large_075 mobilenetv4_hybrid_medium
    mobilenetv4_hybrid_medium_075 tf_mobilenetv3_large_075 tf_mobilenetv3_small_075
    tf_mobilenetv3_small_minimal_100
    mobilenetv5_base
    nasnetalarge
    dm_nfnet_f0 eca_nfnet_l0 eca_nfnet_l2 nf_ecaresnet26 nf_regnet_b0 nf_regnet_b3 nf_resnet26 nf_seresnet26
    nfnet_f0 nfnet_l0 test_nfnet
    pnasnet5large
    rdnet_tiny
    regnetv_040 regnetx_002 regnetx_004_tv regnetx_032 regnety_002 regnety_008_tv regnety_032 regnety_040_sgn
    regnetz_005 regnetz_040_h
    repghostnet_050 repghostnet_111
    repvit_m0_9 repvit_m1 repvit_m1_1
    res2net50_14w_8s res2net50_26w_6s res2net50d res2next50
    resnest101e resnest14d resnest50d_1s4x24d
    ecaresnet26t ecaresnet50d ecaresnet50d_pruned ecaresnetlight ecaresnext26t_32x4d resnet10t resnet18
    resnet18d resnet26t resnet50 resnet50_gn resnet50c resnet50d resnet50s resnetaa34d resnetaa50 resnetblur18
    resnetblur50d resnetrs50 resnext101_64x4d resnext50_32x4d resnext50d_32x4d seresnet152d seresnet18
    seresnet50 seresnet50t seresnetaa50d seresnext26d_32x4d seresnext26t_32x4d seresnext50_32x4d test_resnet
    wide_resnet50_2
    resnetv2_18 resnetv2_18d resnetv2_50 resnetv2_50d resnetv2_50d_evos resnetv2_50d_frn resnetv2_50d_gn
    resnetv2_50t resnetv2_50x1_bit
    rexnet_100 rexnet_150 rexnetr_100 rexnetr_150
    selecsls42 selecsls42b
    legacy_seresnet18 legacy_seresnet50 legacy_seresnext26_32x4d
    skresnet18 skresnet50d skresnext50_32x4d
    starnet_s050 starnet_s1
    tresnet_m tresnet_v2_l
    eca_vovnet39b ese_vovnet19b_dw ese_vovnet19b_slim ese_vovnet19b_slim_dw ese_vovnet39b ese_vovnet39b_evos
    vovnet39a
    legacy_xception
    xception41 xception41p
""".split()  # noqa: SIM905  (a list literal would be four times as long)

# Convolutions and attention.
HYBRID = """
    botnet26t_256 eca_halonext26ts halonet26t haloregnetz_b lambda_resnet26t lamhalobotnet50ts_256
    sebotnet33ts_256 coat_lite_tiny coat_tiny edgenext_small_rw edgenext_xx_small efficientformer_l1
    efficientformerv2_s0 efficientvit_b0 efficientvit_l1 efficientvit_m0 fastvit_t8 fastvit_sa12 fastvit_mci0
    iformer_t iformer_m levit_128s levit_conv_128s lowformer_b0 lowformer_e1 coatnet_pico_rw_224 coatnet_0_224
    coatnext_nano_rw_224 maxvit_pico_rw_256 maxvit_tiny_tf_224 maxxvit_rmlp_nano_rw_256 test_maxvit
    mobilevit_xxs mobilevitv2_050 nextvit_small shvit_s1 swiftformer_xs tiny_vit_5m_224 visformer_tiny
    efficientvim_m1
""".split()  # noqa: SIM905  (a list literal would be four times as long)
